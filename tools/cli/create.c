/*
 * create.c - quiverfs create: a new, empty store.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/dtype.h"
#include "tools/cli/like.h"
#include "tools/cli/new_store.h"
#include "tools/cli/reach.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct create_arguments {
	char *store;
	struct reach reach;
	bool sparse;
	const char *like; /* NULL: all is given */
	struct row_fit fit;
	bool metric_given;
	struct quiver_description description;
};

static error_t take_metric(void *to, char *text, const struct argp_state *state)
{
	if (quiver_metric_parse(text, to) < 0)
		arguments_error(state,
		                "--metric: expected l2 (Euclidean), cosine, ip (inner or dot "
		                "product) or hamming, got '%s'",
		                text);
	return 0;
}

/* What is in it the engine looks at. */
static error_t take_label(void *to, char *text, const struct argp_state *state)
{
	size_t length = strlen(text);

	if (length > QUIVER_LABEL_BYTES_MAX)
		arguments_error(state, "--label: expected at most %u bytes, got %zu",
		                QUIVER_LABEL_BYTES_MAX, length);
	memcpy(to, text, length + 1);
	return 0;
}

static void check_arguments(void *to, const struct argp_state *state)
{
	const struct create_arguments *arguments = to;
	enum quiver_dtype dtype = arguments->fit.geometry.dtype;
	uint32_t dim = arguments->fit.geometry.dim;
	bool known = arguments->like == NULL || arguments->fit.dtype_given;

	if (dim == 0 && arguments->like == NULL)
		arguments_error(state, "--dim is missing: the number of elements of a vector; "
		                       "--like FILE takes that of a file or of a store");
	else if (dim > 0 && known && quiver_vector_bytes(dim, dtype) == 0)
		arguments_error(state,
		                "--dim: with b1 it counts bits, eight to a byte; expected a "
		                "multiple of 8, got %u",
		                dim);
	if (arguments->sparse && quiver_is_folder(arguments->store))
		arguments_error(state,
		                "--sparse is for a collection in Ceph, rados:POOL/COLLECTION; a "
		                "store in a folder takes IDs of any kind");
	if (known && arguments->description.metric == QUIVER_HAMMING && dtype != QUIVER_B1 &&
	    dtype != QUIVER_U1)
		arguments_error(state, "--metric: hamming is for stores of b1 or u1, not %s",
		                quiver_dtype_name(dtype));
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct create_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "dim", 0, "D", "Elements of a vector, 1 to 65536; with b1 a multiple of 8",
		  .take = dtype_take_dim, .to = &parsed->fit.geometry.dim },
		{ "dtype", 0, "TYPE",
		  "Type of an element, little-endian, by one of two names: " DTYPE_NAMES
		  "; the default is f4",
		  .sets = &parsed->fit.dtype_given, .take = dtype_take,
		  .to = &parsed->fit.geometry.dtype },
		{ "like", 0, "FILE",
		  "Take what is not given from FILE: a file of vectors, a store or a mount; from "
		  "the last two also the metric",
		  .keeps = &parsed->like },
		{ "metric", 0, "METRIC",
		  "How the vectors are compared: l2 (the default), cosine, ip (inner product) or "
		  "hamming (for b1 and u1)",
		  .sets = &parsed->metric_given, .take = take_metric,
		  .to = &parsed->description.metric },
		{ "label", 0, "TEXT",
		  "A note for people, such as which model made the vectors; up to 1024 bytes of "
		  "UTF-8",
		  .take = take_label, .to = parsed->description.label },
		{ "sparse", 0, NULL,
		  "In Ceph: make each vector an object of its own, for IDs that are far apart, "
		  "such as random ones",
		  .sets = &parsed->sparse },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE --dim D\nSTORE --like FILE",
		.help = "Make an empty store for vectors of D elements in the folder STORE, or a "
			"collection in Ceph, rados:POOL[/NAMESPACE]/COLLECTION.\v"
			"The folder must be new or empty. The dim and the type of a store never "
			"change. Metric and label can be set later: write to control/metric and "
			"control/label of its mount.",
		.options = options,
		.words = { &parsed->store },
		.least = 1,
		.missing = "the STORE is missing: the name of the folder to make",
		.check = check_arguments,
		.to = parsed,
	};

	return arguments_parse(&arguments, argc, argv);
}

/* Take from what the store is to be like what is not given. Says errors. */
static int take_like(struct create_arguments *arguments)
{
	enum quiver_metric metric = arguments->description.metric;
	int result = like_take(arguments->like, arguments->store, &arguments->reach,
	                       &arguments->fit, &metric);

	if (result == 0 && !arguments->metric_given)
		arguments->description.metric = metric;
	return result;
}

int create_command(int argc, char **argv)
{
	struct create_arguments arguments = { .fit.geometry.dtype = QUIVER_F4 };
	const struct quiver_geometry *geometry = &arguments.fit.geometry;
	const struct quiver_description *description = &arguments.description;
	const char *like_store = NULL;

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	if (arguments.like != NULL && !quiver_is_folder(arguments.like))
		like_store = arguments.like;
	if (reach_check(&arguments.reach, like_store != NULL ? like_store : arguments.store) < 0)
		return STATUS_USAGE;
	if (target_say_snapshot(arguments.store) || target_say_taken(arguments.store))
		return STATUS_FAILED;
	if (arguments.like != NULL && take_like(&arguments) < 0)
		return STATUS_FAILED;
	if (new_store_make(arguments.store, geometry, description,
	                   &(struct quiver_create_options){
				   .size = sizeof(struct quiver_create_options),
				   .access = quiver_is_folder(arguments.store)
	                                             ? NULL
	                                             : reach_access(&arguments.reach),
				   .sparse = arguments.sparse }) < 0)
		return STATUS_FAILED;
	say_result("%s: an empty store, dim %u, dtype %s%s, metric %s, %u bytes a vector",
	           arguments.store, geometry->dim, quiver_dtype_name(geometry->dtype),
	           arguments.fit.is_guess ? " (no type is given)" : "",
	           quiver_metric_name(description->metric),
	           quiver_vector_bytes(geometry->dim, geometry->dtype));
	return STATUS_OK;
}
