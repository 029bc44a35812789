/*
 * row_order.h - whether files come in the order that whoever numbered them had in mind.
 */
#ifndef ROW_ORDER_H
#define ROW_ORDER_H

#include <stddef.h>

/*
 * The first of two paths that follow one another as a shell sorts them, "s10" before "s2", and
 * numbers do not; `count` where there are none. An order that no shell makes is somebody's own.
 */
size_t row_order_doubtful(char *const *paths, size_t count);

#endif
