/*
 * pulse.h - having the service manager wait for what takes long while nobody is served: a store that
 * is opened (a large log, an upgrade) or closed (much that is not on the disk yet).
 *
 * A thread asks for more time, and feeds the watchdog, for as long as this process gets on: as it uses
 * the processor or has read or written. One that hangs in a call to a dead disk is given up by both.
 */
#ifndef PULSE_H
#define PULSE_H

enum pulse_phase {
	PULSE_OPENING, /* before READY=1: the watchdog is not there yet */
	PULSE_CLOSING,
};

/* Begin, one phase at a time. Where no manager is to be told, or no thread can be had, nothing
 * happens. */
void pulse_start(enum pulse_phase phase);

/* End; allowed where none has begun. */
void pulse_stop(void);

#endif
