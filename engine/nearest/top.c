#include "engine/nearest/top.h"

#include <stdlib.h>

static void rise(struct top *top, struct candidate candidate)
{
	uint32_t at = top->count++;

	while (at > 0 && candidate_is_after(&candidate, &top->heap[(at - 1) / 2])) {
		top->heap[at] = top->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	top->heap[at] = candidate;
}

/* In the place of the farthest. */
static void sink(struct top *top, struct candidate candidate)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= top->count)
			break;
		if (child + 1 < top->count &&
		    candidate_is_after(&top->heap[child + 1], &top->heap[child]))
			child++;
		if (!candidate_is_after(&top->heap[child], &candidate))
			break;
		top->heap[at] = top->heap[child];
		at = child;
	}
	top->heap[at] = candidate;
}

bool top_push(struct top *top, struct candidate candidate)
{
	if (!top_is_full(top)) {
		rise(top, candidate);
		return true;
	}
	if (top->room == 0 || !candidate_is_after(&top->heap[0], &candidate))
		return false;
	sink(top, candidate);
	return true;
}

static int compare(const void *a, const void *b)
{
	return candidate_is_after(a, b) ? 1 : candidate_is_after(b, a) ? -1 : 0;
}

void top_sort(struct top *top)
{
	qsort(top->heap, top->count, sizeof(*top->heap), compare);
}
