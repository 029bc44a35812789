/*
 * loan.h - how many threads are inside librados with a connection: it must not go before they are
 * out.
 */
#ifndef QUIVER_RADOS_LOAN_H
#define QUIVER_RADOS_LOAN_H

struct loan;

/* NULL: no memory. */
struct loan *loan_new(void);
/* For a thread that is about to be started, by who has the connection. */
void loan_take(struct loan *loan);
/* By that thread, as its last step. */
void loan_return(struct loan *loan);
/* Until all are returned; no more can be taken. Frees it. */
void loan_end(struct loan *loan);

#endif
