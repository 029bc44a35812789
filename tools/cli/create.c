/*
 * create.c - quiverfs create: a new, empty store.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static error_t take_dim(void *to, char *text, const struct argp_state *state)
{
	uint32_t *dim = to;
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || number < 1 ||
	    number > QUIVER_DIM_MAX)
		argp_error(state, "--dim: expected a number from 1 to %u, got '%s'", QUIVER_DIM_MAX,
		           text);
	*dim = (uint32_t)number;
	return 0;
}

static error_t take_dtype(void *to, char *text, const struct argp_state *state)
{
	if (quiver_dtype_parse(text, to) < 0)
		argp_error(state, "--dtype: expected f4, f2, f8, i1 or u1, got '%s'", text);
	return 0;
}

static void check_geometry(void *to, const struct argp_state *state)
{
	const struct quiver_geometry *geometry = to;

	if (geometry->dim == 0)
		argp_error(state, "--dim is missing: the number of elements of a vector");
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, char **store, struct quiver_geometry *geometry)
{
	const struct argument_option options[] = {
		{ "dim", 0, "D", "Elements of a vector, 1 to 65536 (needed)", .take = take_dim,
		  .to = &geometry->dim },
		{ "dtype", 0, "TYPE",
		  "Type of an element, little-endian: f4 (float32, the default), f2 (float16), f8 "
		  "(float64), i1 (int8) or u1 (uint8)",
		  .take = take_dtype, .to = &geometry->dtype },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE --dim D",
		.help = "Make an empty store for vectors of D elements in the folder STORE, which "
			"must not exist or be empty.\v"
			"The dim and the type of a store are fixed for its life.",
		.options = options,
		.words = { store },
		.least = 1,
		.missing = "the STORE is missing: the folder to be made",
		.check = check_geometry,
		.to = geometry,
	};

	return arguments_parse(&arguments, argc, argv);
}

int create_command(int argc, char **argv)
{
	struct quiver_geometry geometry = { .dtype = QUIVER_F4 };
	struct quiver_error error = { "" };
	char *store = NULL;
	int result;

	if (parse(argc, argv, &store, &geometry) < 0)
		return STATUS_USAGE;
	result = quiver_create(store, &geometry, NULL, NULL, &error);
	if (result < 0) {
		say_engine(store, error.text, result);
		return STATUS_FAILED;
	}
	(void)printf("%s: an empty store, dim %u, dtype %s, %u bytes a vector\n", store,
	             geometry.dim, quiver_dtype_name(geometry.dtype),
	             geometry.dim * quiver_dtype_bytes(geometry.dtype));
	return STATUS_OK;
}
