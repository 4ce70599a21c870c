/* A word that goes through a library in C and comes back once, twice, or never: `callback once`, and so on.
 * The library calls whoever waits; nothing of it is recorded but what the program says.
 */
#include "tracer.h"

#include <string.h>

struct request {
	int answers;
};

/* The library. */
typedef void callback(void *user_data);

static callback *waiting;
static void *waiting_data;

static void ask(callback *function, void *user_data)
{
	waiting = function;
	waiting_data = user_data;
}

static void answer(void)
{
	waiting(waiting_data);
}

/* The program. */
static void answered(void *user_data)
{
	struct request *request = TRACER_RECLAIM_AS(TRACER_OWNER_UNIQUE, user_data, struct request);

	request->answers++;
}

int main(int count, char **arguments)
{
	static struct request request;
	const char *how = count > 1 ? arguments[1] : "once";

	ask(answered, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, &request, struct request));
	if (strcmp(how, "never") != 0)
		answer();
	if (strcmp(how, "twice") == 0)
		answer();
	return 0;
}
