/*
 * notify.h - telling the service manager how the mount does, as sd_notify(3) has it.
 *
 * The protocol is one datagram of text to the socket that the environment names. It is
 * spoken here directly: libsystemd would bring compression, cryptography and more into a
 * process that holds CAP_SYS_ADMIN.
 *
 * Where nobody asked to be told, all of it does nothing.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Take NOTIFY_SOCKET and the watchdog's variables out of the environment, so that no
 * program that we start speaks for us. Call it once, before any thread starts. */
void notify_init(void);

/* Send lines like "READY=1", printf-like. Any thread. A manager that does not read is waited for a
 * little. Failure is logged, and no reason to end. */
void notify_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether anybody is told. */
bool notify_is_heard(void);

/* The time within which the manager wants to hear "WATCHDOG=1"; 0 where it does not. */
uint32_t notify_watchdog_ms(void);

#endif
