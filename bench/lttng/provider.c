/* The provider of LTTng's events, loaded by the benchmark's program at run time: a provider that is linked
 * statically into a Rust binary is thrown away by the linker's garbage collection, and records nothing. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "provider.h"

void tracer_bench_event(uint64_t what, uint64_t cookie, uint64_t number)
{
	lttng_ust_tracepoint(tracer_bench, event, what, cookie, number);
}

int tracer_bench_enabled(void)
{
	return lttng_ust_tracepoint_enabled(tracer_bench, event);
}
