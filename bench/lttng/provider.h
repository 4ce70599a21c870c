/* One event with three words: what happened, to which cookie, and a number. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER tracer_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./provider.h"

#if !defined(TRACER_BENCH_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define TRACER_BENCH_PROVIDER_H

#include <stdint.h>

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(
	tracer_bench,
	event,
	LTTNG_UST_TP_ARGS(uint64_t, what, uint64_t, cookie, uint64_t, number),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_integer(uint64_t, what, what)
		lttng_ust_field_integer_hex(uint64_t, cookie, cookie)
		lttng_ust_field_integer(uint64_t, number, number)
	)
)

#endif

#include <lttng/tracepoint-event.h>
