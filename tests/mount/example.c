/*
 * example.c - a program of somebody else's: it sees quiver.h and libquiver alone.
 * Makes the store that its argument names, and fills it.
 */
#include <quiver.h>

#include <stdio.h>
#include <string.h>

#define DIM 3

/* Names that libquiver has inside, too. */
int wal_append(void);
int wal_append(void)
{
	return 7;
}

static int use(struct quiver *store)
{
	struct quiver_attr attr = { .mtime_ns = 1, .mode = 0640 };
	float vector[DIM] = { 1.5f, -2.0f, 0.25f }, copy[DIM];
	struct quiver_list *list;
	uint64_t ids[8];
	int64_t count = 0;
	int err = 0;

	for (uint64_t id = 10; id < 15 && err == 0; id++)
		err = quiver_put(store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL);
	if (err == 0)
		err = quiver_remove(store, 12, QUIVER_SYNC, NULL);
	if (err == 0)
		err = quiver_get_copy(store, 11, copy, NULL, NULL);
	if (err == 0)
		err = quiver_list_open(store, 0, &list);
	if (err < 0)
		return err;
	count = quiver_list_read(store, list, 0, 0, ids, 8);
	printf("%d %d %d\n", memcmp(vector, copy, sizeof(vector)), (int)count, wal_append());
	quiver_list_close(store, list);
	return 0;
}

int main(int argc, char **argv)
{
	struct quiver_geometry geometry = { .dim = DIM, .dtype = QUIVER_F4 };
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = QUIVER_ALWAYS };
	struct quiver_error error = { "" };
	struct quiver *store;
	int err, closed;

	if (argc != 2)
		return 2;
	err = quiver_create(argv[1], &geometry, NULL, NULL, &error);
	if (err == 0)
		err = quiver_open(argv[1], &options, &store, &error);
	if (err < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], error.text);
		return 1;
	}
	err = use(store);
	closed = quiver_close(store);
	return err < 0 || closed < 0;
}
