#include "tools/cli/row_arguments.h"

#include "tools/formats/formats.h"

error_t row_arguments_header(void *to, char *text, const struct argp_state *state)
{
	if (format_header_parse(text, to) < 0)
		arguments_error(state, "--header: expected yes, no or auto, got '%s'", text);
	return 0;
}

error_t row_arguments_delimiter(void *to, char *text, const struct argp_state *state)
{
	if (format_delimiter(text, to) < 0)
		arguments_error(state, FORMAT_DELIMITER_ERROR, text);
	return 0;
}
