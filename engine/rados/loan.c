#include "engine/rados/loan.h"

#include <pthread.h>
#include <stdlib.h>

struct loan {
	pthread_mutex_t lock;
	pthread_cond_t all_back;
	unsigned out; /* lock */
};

struct loan *loan_new(void)
{
	struct loan *loan = calloc(1, sizeof(*loan));

	if (!loan)
		return NULL;
	/* Neither can fail on Linux with no attributes. */
	(void)pthread_mutex_init(&loan->lock, NULL);
	(void)pthread_cond_init(&loan->all_back, NULL);
	return loan;
}

void loan_take(struct loan *loan)
{
	pthread_mutex_lock(&loan->lock);
	loan->out++;
	pthread_mutex_unlock(&loan->lock);
}

void loan_return(struct loan *loan)
{
	pthread_mutex_lock(&loan->lock);
	if (--loan->out == 0)
		pthread_cond_signal(&loan->all_back);
	pthread_mutex_unlock(&loan->lock);
}

void loan_end(struct loan *loan)
{
	pthread_mutex_lock(&loan->lock);
	while (loan->out > 0)
		(void)pthread_cond_wait(&loan->all_back, &loan->lock); /* it does not fail */
	pthread_mutex_unlock(&loan->lock);
	(void)pthread_cond_destroy(&loan->all_back);
	(void)pthread_mutex_destroy(&loan->lock);
	free(loan);
}
