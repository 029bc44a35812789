/* Stores that are not a local folder: their module is found and loaded, their calls go to it. */
#include "engine/store/elsewhere.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/error.h"

#define RADOS_PREFIX "rados:"
#define RADOS_MODULE "quiverfs_rados.so"
/* A folder in which modules are looked for first: of a build that is not installed. */
#define MODULES_VARIABLE "QUIVER_MODULES"

static _Thread_local struct {
	bool (*interrupted)(void *arg);
	void *arg;
} waiting;

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct quiver_module *loaded; /* load_lock */

void quiver_set_interrupt(bool (*interrupted)(void *arg), void *arg)
{
	waiting.interrupted = interrupted;
	waiting.arg = arg;
}

bool elsewhere_is_interrupted(void)
{
	return waiting.interrupted && waiting.interrupted(waiting.arg);
}

bool quiver_is_folder(const char *path)
{
	return strncmp(path, RADOS_PREFIX, sizeof(RADOS_PREFIX) - 1) != 0;
}

/* Whether the folder has the module; *module is then NULL where it cannot be loaded, and `why`
 * says why. */
static bool load_from(const char *folder, size_t length, void **module, char why[256])
{
	char path[PATH_MAX];

	*module = NULL;
	if (snprintf(path, sizeof(path), "%.*s/" RADOS_MODULE, (int)length, folder) >=
	    (int)sizeof(path))
		return false;
	if (access(path, F_OK) != 0) {
		(void)snprintf(why, 256, "%.200s: %.40s", path, strerror(errno));
		return false;
	}
	*module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!*module)
		(void)snprintf(why, 256, "%.255s", dlerror());
	return true;
}

/* The length of the folder that a file lies in; 0 where its name has none. */
static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* From beside the program, whatever link it was called by and whatever folder it has left. */
static bool load_beside_program(void **module, char why[256])
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[length > 0 ? length : 0] = '\0';
	return path[0] == '/' && load_from(path, folder_length(path), module, why);
}

/* From beside the library that this code is in, where it is in one. */
static bool load_beside_library(void **module, char why[256])
{
	Dl_info self;

	return dladdr((const void *)&load_lock, &self) != 0 && self.dli_fname &&
	       self.dli_fname[0] == '/' &&
	       load_from(self.dli_fname, folder_length(self.dli_fname), module, why);
}

/* From there, or from where it is installed. */
static void *load_module(char why[256])
{
	const char *given = secure_getenv(MODULES_VARIABLE);
	void *module = NULL;

	if (given && given[0] != '\0')
		(void)load_from(given, strlen(given), &module, why);
	else if (!load_beside_program(&module, why) && !load_beside_library(&module, why))
		(void)load_from(QUIVER_MODULE_FOLDER, sizeof(QUIVER_MODULE_FOLDER) - 1, &module,
		                why);
	return module;
}

/* The lock held. */
static int load(struct quiver_error *error)
{
	char why[256] = "";
	void *library = load_module(why);
	const struct quiver_module *module = library ? dlsym(library, QUIVER_MODULE_SYMBOL) : NULL;

	if (!module) {
		error_set(error,
		          "stores in Ceph RADOS need the library librados (Debian's package "
		          "librados2) and the module " RADOS_MODULE
		          "; that module is built if librados-dev is installed: %s",
		          why);
		return -EOPNOTSUPP;
	}
	if (strcmp(module->version, QUIVERFS_VERSION) != 0 ||
	    module->kind_size != sizeof(struct quiver_kind)) {
		error_set(
			error,
			RADOS_MODULE
			" belongs to quiverfs %s, but this is %s; install the same version of both",
			module->version, QUIVERFS_VERSION);
		return -EOPNOTSUPP;
	}
	module->begin(elsewhere_is_interrupted);
	loaded = module;
	return 0;
}

const struct quiver_module *elsewhere_module(const char *path, int *r, struct quiver_error *error)
{
	const struct quiver_module *module;

	*r = 0;
	if (quiver_is_folder(path))
		return NULL;
	pthread_mutex_lock(&load_lock);
	if (!loaded)
		*r = load(error);
	module = loaded;
	pthread_mutex_unlock(&load_lock);
	return module;
}

int elsewhere_refuse(const char *path, const char *access, struct quiver_error *error)
{
	if (!access || access[0] == '\0')
		return 0;
	error_set(error,
	          "%s: %s: these options are only for a collection in Ceph, but this is a folder",
	          path, access);
	return -EINVAL;
}

int quiver_stores(const char *place, const char *access, void (*found)(void *arg, const char *name),
                  void *arg, struct quiver_error *error)
{
	int r;
	const struct quiver_module *module = elsewhere_module(place, &r, error);

	if (module)
		return module->stores(place, access, found, arg, error);
	if (r == 0)
		error_set(error, "%s: expected rados:POOL[/NAMESPACE]", place);
	return r ? r : -EINVAL;
}

int quiver_destroy(const char *path, const char *access, struct quiver_error *error)
{
	int r;
	const struct quiver_module *module = elsewhere_module(path, &r, error);

	if (module)
		return module->destroy(path, access, error);
	if (r == 0)
		error_set(error,
		          "%s: expected rados:POOL[/NAMESPACE]/COLLECTION; a store in a folder "
		          "is removed with the folder",
		          path);
	return r ? r : -EINVAL;
}
