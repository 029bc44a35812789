/*
 * next.h - what can be done from where one stands, for who has typed no command.
 */
#ifndef NEXT_H
#define NEXT_H

/* Say on standard output what is here, a mount, a store, or neither, and the three commands that are next
 * as likely as not; and on standard error that a command is missing. Looks at the folder it is in and at what is mounted, and changes nothing; whatever it
 * cannot see is not there. */
void next_say(void);

#endif
