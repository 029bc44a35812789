/*
 * say.h - messages for people, on stderr.
 *
 * Every one is a line "quiverfs: SUBJECT: what is wrong", SUBJECT being the
 * file that it is about.
 */
#ifndef SAY_H
#define SAY_H

/* A line without "quiverfs:" never stands alone on stderr. The functions return
 * nothing: where stderr cannot be written there is nobody to tell. */
void say_error(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An error whose whole reason is the text of a negative errno. */
void say_errno(const char *subject, int result);

/* An error that the engine has put into words: `text` may already begin with
 * the path of the store. Where it is empty, the text of the negative errno. */
void say_engine(const char *subject, const char *text, int result);

/* Something worth knowing that is not an error: "quiverfs: SUBJECT: note: ...". */
void say_note(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
