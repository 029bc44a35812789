/*
 * create.c - quiverfs create: a new, empty store.
 */
#include "engine/quiver.h"
#include "tools/cli/command.h"
#include "tools/cli/say.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_DIM = 256, KEY_DTYPE };

struct create_arguments {
	char *store;
	struct quiver_geometry geometry;
};

static const struct argp_option options[] = {
	{ "dim", KEY_DIM, "D", 0, "Elements of a vector, 1 to 65536 (needed)", 0 },
	{ "dtype", KEY_DTYPE, "TYPE", 0,
	  "Type of an element, little-endian: f4 (float32, the default), f2 (float16), f8 "
	  "(float64), "
	  "i1 (int8) or u1 (uint8)",
	  0 },
	{ 0 },
};

/* Read --dim; ends the process with the usage where it is none. */
static uint32_t parse_dim(const char *text, struct argp_state *state)
{
	unsigned long dim;
	char *end;

	errno = 0;
	dim = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || dim < 1 ||
	    dim > QUIVER_DIM_MAX)
		argp_error(state, "--dim: expected a number from 1 to %u, got '%s'", QUIVER_DIM_MAX,
		           text);
	return (uint32_t)dim;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct create_arguments *arguments = state->input;

	switch (key) {
	case KEY_DIM:
		arguments->geometry.dim = parse_dim(text, state);
		return 0;
	case KEY_DTYPE:
		if (quiver_dtype_parse(text, &arguments->geometry.dtype) < 0)
			argp_error(state, "--dtype: expected f4, f2, f8, i1 or u1, got '%s'", text);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->store != NULL)
			argp_error(state, "unexpected '%s'", text);
		arguments->store = text;
		return 0;
	case ARGP_KEY_END:
		if (arguments->store == NULL)
			argp_error(state, "the STORE is missing: the folder to be made");
		if (arguments->geometry.dim == 0)
			argp_error(state, "--dim is missing: the number of elements of a vector");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse,
	"STORE --dim D",
	"Make an empty store for vectors of D elements in the folder STORE, which must not exist "
	"or "
	"be empty.\v"
	"The dim and the type of a store are fixed for its life.",
	NULL,
	NULL,
	NULL,
};

int create_command(int argc, char **argv)
{
	struct create_arguments arguments = { .geometry = { .dtype = QUIVER_F4 } };
	struct quiver_geometry *geometry = &arguments.geometry;
	struct quiver_error error = { "" };
	int result;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	result = quiver_create(arguments.store, geometry, NULL, &error);
	if (result < 0) {
		say_engine(arguments.store, error.text, result);
		return STATUS_FAILED;
	}
	(void)printf("%s: an empty store, dim %u, dtype %s, %u bytes a vector\n", arguments.store,
	             geometry->dim, quiver_dtype_name(geometry->dtype),
	             geometry->dim * quiver_dtype_bytes(geometry->dtype));
	return STATUS_OK;
}
