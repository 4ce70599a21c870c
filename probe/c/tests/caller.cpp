// Functions that wrap the macros and name their callers: each leak stands where it was asked for. Nothing of it is
// taken back, so that each place has its story.

#include "tracer.h"

#include <stdexcept>

static char things[6];

static char *give(char *thing, const char *file = __builtin_FILE(), unsigned line = __builtin_LINE())
{
	TRACER_CALLER(file, line);
	return TRACER_LEAK(thing, char);
}

// Its own caller holds, not that of `give`.
static void give_deeper(char *thing, const char *file = __builtin_FILE(), unsigned line = __builtin_LINE())
{
	TRACER_CALLER(file, line);
	give(thing);
	give(thing + 1);
}

static void fails(const char *file = __builtin_FILE(), unsigned line = __builtin_LINE())
{
	TRACER_CALLER(file, line);
	throw std::runtime_error("fails");
}

int main()
{
	give(&things[0]); // first
	give(&things[1]); // second
	give_deeper(&things[2]); // third, twice
	try {
		fails();
	} catch (const std::runtime_error &) {
	}
	(void)TRACER_LEAK(&things[4], char); // fourth, its own place
	return 0;
}
