// An owner that goes through a C interface as void *, and the path on which it does not come back.
//
// A library in C calls back later, or hands the data back when it is told to forget. The first job is called
// back, and its owner is made again from the pointer. The second is cancelled, and what `forget` returns is
// dropped on the floor.
//
//     c++ -Iprobe/c/include probe/c/examples/owner.cpp target/release/libtracer_probe_c.a -lpthread -ldl -lm -o owner
//     tracer record -- ./owner && tracer check trace.bin
//
// -DFIXED: the owner is taken back there, too.

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "tracer.h"

// The library, as C libraries are: one pending call, and a word of the caller's that travels with it.
extern "C" {
typedef void later_callback(void *data);

static later_callback *pending;
static void *pending_data;

static void later(later_callback *callback, void *data)
{
	pending = callback;
	pending_data = data;
}

static void run_pending(void)
{
	pending(pending_data);
}

static void *forget(void)
{
	return pending_data;
}
}

using Label = std::pair<std::string, int>;

static void print(void *data)
{
	std::unique_ptr<Label> label(TRACER_RECLAIM_AS(TRACER_OWNER_UNIQUE, data, std::pair<std::string, int>));

	std::printf("%s %d\n", label->first.c_str(), label->second);
}

static void start(std::unique_ptr<Label> label)
{
	later(print, TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, label.release(), std::pair<std::string, int>));
}

static void cancel()
{
	void *data = forget();
#ifdef FIXED
	std::unique_ptr<Label> taken_back(TRACER_RECLAIM_AS(TRACER_OWNER_UNIQUE, data, std::pair<std::string, int>));
	std::printf("%s %d\n", taken_back->first.c_str(), taken_back->second);
#else
	const auto *label = TRACER_PEEK(data, std::pair<std::string, int>);
	std::printf("%s %d\n", label->first.c_str(), label->second);
#endif
}

int main()
{
	start(std::make_unique<Label>("called back", 1));
	run_pending();
	start(std::make_unique<Label>("cancelled", 2));
	cancel();
	return 0;
}
