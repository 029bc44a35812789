/*
 * row_arguments.h - arguments that tell how a file of rows is read; for the tables of arguments.h.
 */
#ifndef ROW_ARGUMENTS_H
#define ROW_ARGUMENTS_H

#include "tools/cli/arguments.h"

/* --header: to an enum format_header. Another word ends the process with a message. 0. */
error_t row_arguments_header(void *to, char *text, const struct argp_state *state);
/* --delimiter: to a char. The same. */
error_t row_arguments_delimiter(void *to, char *text, const struct argp_state *state);

#endif
