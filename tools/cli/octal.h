/*
 * octal.h - paths in which some bytes are written as \ooo.
 */
#ifndef OCTAL_H
#define OCTAL_H

/* Turn each backslash with three octal digits behind it into its byte, in place. */
void octal_decode(char *text);

#endif
