/*
 * arguments.c - tables of arguments as argp(3) has them.
 */
#include "tools/cli/arguments.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/codec/printable.h"
#include "engine/quiver.h"
#include "tools/cli/say.h"

/* Longest message; a longer one is cut. */
#define MESSAGE_BYTES_MAX 4608

/* Beyond all letters: the keys of options that have none. */
#define KEY_FIRST 256

void arguments_error(const struct argp_state *state, const char *format, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	printable_clean(message);
	argp_error(state, "%s", message);
}

error_t arguments_take_metric(void *to, char *text, const struct argp_state *state)
{
	enum quiver_metric metric;
	int *wanted = to;

	if (quiver_metric_parse(text, &metric) < 0)
		arguments_error(state, "--metric: expected l2, cosine, ip or hamming, got '%s'",
		                text);
	else
		*wanted = (int)metric;
	return 0;
}

bool arguments_are_printable(int argc, char **argv)
{
	char name[MESSAGE_BYTES_MAX], shown[MESSAGE_BYTES_MAX];

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] != '-')
			continue;
		/* With a value, which nobody shows but us. */
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(argv[i], "="), argv[i]);
		(void)snprintf(shown, sizeof(shown), "%s", name);
		printable_clean(shown);
		if (strcmp(name, shown) != 0) {
			say_error(
				shown,
				"there is no such option; if it is a file, put ./ before its name");
			return false;
		}
	}
	return true;
}

static int key_of(const struct argument_option *option, size_t index)
{
	return option->letter != '\0' ? option->letter : KEY_FIRST + (int)index;
}

static bool is_last(const struct argument_option *option)
{
	return option->name == NULL && option->letter == '\0';
}

/* The table as argp wants it; zeros must follow in `to`. */
static void translate(const struct argument_option *from, struct argp_option *to)
{
	for (size_t i = 0; from != NULL && !is_last(&from[i]); i++) {
		assert(i < ARGUMENTS_OPTIONS_MAX);
		to[i].name = from[i].name;
		/* another name is the option before it; another letter is one by itself */
		if (from[i].help != NULL || from[i].letter != '\0')
			to[i].key = key_of(&from[i], i);
		to[i].arg = from[i].value;
		to[i].doc = from[i].help;
		if (from[i].may_lack_value)
			to[i].flags |= OPTION_ARG_OPTIONAL;
		if (from[i].help == NULL)
			to[i].flags |= OPTION_ALIAS;
	}
}

static error_t take_option(const struct argument_option *option, char *value,
                           const struct argp_state *state)
{
	if (option->sets != NULL)
		*option->sets = true;
	if (option->clears != NULL)
		*option->clears = false;
	if (option->keeps != NULL && value[0] == '\0')
		arguments_error(state, "--%s: the value is empty ('')", option->name);
	if (option->keeps != NULL)
		*option->keeps = value;
	return option->take != NULL ? option->take(option->to, value, state) : 0;
}

/* All that are left are words: argp has put them behind the options. */
static void take_words(const struct arguments *arguments, struct argp_state *state)
{
	char **words = state->argv + state->next;
	size_t count = (size_t)(state->argc - state->next);
	bool several = strchr(arguments->usage, '\n') != NULL;
	size_t taken = 0;

	state->next = state->argc;
	for (size_t i = 0; i < count; i++) {
		if (words[i][0] == '\0')
			arguments_error(
				state,
				"a name is empty (''); perhaps a shell variable is not set; %s%s",
				several ? "" : "expected ",
				several ? arguments->missing : arguments->usage);
	}
	while (taken < count && taken < ARGUMENTS_WORDS_MAX && arguments->words[taken] != NULL) {
		*arguments->words[taken] = words[taken];
		taken++;
	}
	if (arguments->rest != NULL) {
		*arguments->rest = words + taken;
		*arguments->rest_count = count - taken;
	} else if (taken < count) {
		arguments_error(state, "unexpected '%s'", words[taken]);
	}
	if (count < arguments->least)
		arguments_error(state, "%s", arguments->missing);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	const struct arguments *arguments = state->input;
	const struct argument_option *options = arguments->options;

	switch (key) {
	case ARGP_KEY_ARGS:
	case ARGP_KEY_NO_ARGS:
		take_words(arguments, state);
		return 0;
	case ARGP_KEY_END:
		if (arguments->check != NULL)
			arguments->check(arguments->to, state);
		return 0;
	default:
		for (size_t i = 0; options != NULL && !is_last(&options[i]); i++) {
			if (key == key_of(&options[i], i))
				return take_option(&options[i], text, state);
		}
		return ARGP_ERR_UNKNOWN;
	}
}

int arguments_parse(const struct arguments *arguments, int argc, char **argv)
{
	struct argp_option options[ARGUMENTS_OPTIONS_MAX + 1] = { 0 };
	struct arguments input = *arguments;
	bool has_options = arguments->options != NULL && !is_last(arguments->options);
	/* Of a table with nothing in it argp would not free what it makes. */
	struct argp argp = {
		.options = has_options ? options : NULL,
		.parser = parse,
		.args_doc = arguments->usage,
		.doc = arguments->help,
	};

	if (arguments->status_usage != 0)
		argp_err_exit_status = arguments->status_usage;
	translate(arguments->options, options);
	return -argp_parse(&argp, argc, argv, 0, NULL, &input);
}
