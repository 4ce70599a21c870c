/* Who is owed what: the program's own table of operations, which every completion is held against.
 *
 * An operation goes in with a cookie of its ring's scheme and with the results that are right for it. A completion that
 * no operation of its cookie can have posted ends the program. The word that travels is made as runtimes make it: the
 * address of a heap block that is freed behind the last completion (so that addresses are recycled at once), the same
 * with a tag in its low bits, an index of a table, an index with a generation, or one word for all that nobody waits
 * for. */
#ifndef SHAPES_TABLE_H
#define SHAPES_TABLE_H

#include "base.h"

enum scheme { POINTERS, TAGGED, INDICES, GENERATIONS, SCHEMES };

/* Of operations that nobody waits for. */
#define NOBODY UINT64_C(0xfffffffffffffff5)

/* What travels as a pointer. Counted: a multishot operation and its cancellation may share one. */
struct owner {
	unsigned magic, references;
	char more[];
};
#define MAGIC 0x0e4ae5u

struct ring;
struct op;
typedef void finish(struct op *op, int res);
typedef void arrive(struct op *op, int res, unsigned flags);

struct op {
	struct op *next;
	const char *what;
	struct ring *ring;
	uint64_t cookie;
	struct owner *owner;
	unsigned index;
	/* Results that are right: a range, and these errors. */
	int least, most;
	int errors[3];
	/* Posts any number, or a result and a notification. */
	bool many, zero_copy;
	/* Somebody asked for its end. */
	bool may_cancel;
	/* One of those that share a cookie and whose results nobody looks at. */
	bool is_nobodys;
	/* Carries another one's cookie. */
	bool is_without_owner;
	/* Ends only when something is done about it. */
	bool waits;
	unsigned shots;
	/* What is done for it to end, if anything but cancelling helps. */
	void (*poke)(struct op *op);
	/* At each completion, and at the last. */
	arrive *arrive;
	finish *finish;
	/* What kinds of operations keep here. */
	char *buffer;
	size_t length;
	off_t offset;
	int fd, other;
	unsigned number;
	struct op *target_pair;
	struct owner *held;
	struct op *target;
	/* The cookie that it may have by now, and whose it is. */
	uint64_t renamed;
	struct owner *renamed_to;
};

struct ring {
	struct io_uring uring;
	enum scheme scheme;
	unsigned setup, entries, number;
	struct op *ops;
	unsigned count, waiting, slots_busy;
	/* Completions that come of a fault, beside those that are owed. */
	unsigned astray;
	/* Completions for nobody that may come beside, of operations that were all cancelled. */
	unsigned unexplained;
	/* Blocks that the kernel reads while it takes the next entries, and no longer. */
	void *until_taken[64];
	unsigned until_taken_count;
	/* Something in its queue names what completions may free: it goes in before any is taken. */
	bool has_names;
	bool is_open, has_provided, has_slots, has_cancelled_any;
	char *fixed;
	/* Places of direct descriptors that accepts chose, to be closed. */
	unsigned accepted[64], accepted_count;
	struct pool *pool;
	/* Takes its completions in another thread, and hands them over. */
	struct taker *taker;
};

/* One table of indices for all rings, last in first out as a slab has it. */
static struct {
	struct op *ops[4096];
	unsigned generation[4096], vacant[4096], vacant_count, used;
} slab;

static unsigned slab_insert(struct op *op)
{
	unsigned index = slab.vacant_count ? slab.vacant[--slab.vacant_count] : slab.used++;

	if (index >= 4096)
		surprise("a table that is full", index);
	slab.ops[index] = op;
	return index;
}

static void slab_remove(unsigned index)
{
	slab.ops[index] = NULL;
	slab.generation[index]++;
	slab.vacant[slab.vacant_count++] = index;
}

static struct owner *owner_new(void)
{
	static const unsigned sizes[] = {16, 24, 48, 100, 200, 700};
	struct owner *owner = block_of(sizeof(*owner) + sizes[pick(6)]);

	owner->magic = MAGIC;
	owner->references = 1;
	return owner;
}

static void owner_release(struct owner *owner)
{
	if (owner->magic != MAGIC)
		surprise("an owner that is none", owner->magic);
	if (--owner->references == 0) {
		owner->magic = 0;
		free(owner);
	}
}

static unsigned tag_of(const struct ring *ring)
{
	return ring->scheme == TAGGED ? 1 + ring->number % 7 : 0;
}

/* An operation of a ring that has no cookie yet. */
static struct op *op_new(struct ring *ring, const char *what)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		surprise("no memory", 0);
	op->what = what;
	op->ring = ring;
	op->fd = op->other = -1;
	op->next = ring->ops;
	ring->ops = op;
	ring->count++;
	return op;
}

/* Gives it a cookie of its ring's scheme, and the owner away with it. */
static void op_own(struct op *op)
{
	switch (op->ring->scheme) {
	case POINTERS:
	case TAGGED:
		op->owner = owner_new();
		(void)TRACER_LEAK_AS(TRACER_OWNER_UNIQUE, op->owner, struct owner);
		op->cookie = (uintptr_t)op->owner | tag_of(op->ring);
		break;
	case INDICES:
	case GENERATIONS:
		op->index = slab_insert(op);
		op->cookie = op->index;
		if (op->ring->scheme == GENERATIONS)
			op->cookie |= (uint64_t)(1 + slab.generation[op->index]) << 32;
		(void)TRACER_LEAK_INDEX(op->cookie, "slab");
		break;
	default:
		surprise("a scheme", op->ring->scheme);
	}
}

/* Takes the owner back, which was given away with the cookie. */
static void op_disown(struct op *op)
{
	if (op->owner) {
		(void)TRACER_RECLAIM(op->owner, struct owner);
		owner_release(op->owner);
		op->owner = NULL;
	} else if (!op->is_without_owner && op->cookie != NOBODY && op->ring->scheme >= INDICES) {
		(void)TRACER_RECLAIM_INDEX(op->cookie, "slab");
		slab_remove(op->index);
	}
}

static void op_forget(struct op *op)
{
	struct op **at = &op->ring->ops;

	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	op->ring->count--;
	for (struct op *other = op->ring->ops; other; other = other->next)
		if (other->target == op)
			other->target = NULL;
	free(op);
}

static bool op_fits(const struct op *op, int res, unsigned flags)
{
	if (flags & IORING_CQE_F_NOTIF)
		return op->zero_copy && op->shots == 1;
	if (op->zero_copy && op->shots)
		return false;
	if (flags & IORING_CQE_F_MORE && !op->many && !op->zero_copy)
		return false;
	if (op->is_nobodys)
		return true;
	if (res >= 0)
		return res >= op->least && res <= op->most;
	if (res == -ECANCELED && op->may_cancel)
		return true;
	for (unsigned i = 0; i < 3; i++)
		if (op->errors[i] && res == -op->errors[i])
			return true;
	return false;
}

/* The operation that a completion is of. Whoever shares a cookie with others is told from them by what it can post. */
static struct op *op_find(struct ring *ring, uint64_t cookie, int res, unsigned flags)
{
	struct op *found = NULL;

	/* The oldest is the last. */
	for (struct op *op = ring->ops; op; op = op->next)
		if ((op->cookie == cookie || (op->renamed && op->renamed == cookie)) && op_fits(op, res, flags))
			found = op;
	return found;
}

static void op_say_all(const struct ring *ring, uint64_t cookie, int res, unsigned flags)
{
	fprintf(stderr, "shapes: ring %u, setup %#x: cookie %#llx, result %d, flags %#x\n", ring->number, ring->setup,
		(unsigned long long)cookie, res, flags);
	for (struct op *op = ring->ops; op; op = op->next)
		fprintf(stderr, "shapes: in flight: %s, cookie %#llx, results %d to %d\n", op->what,
			(unsigned long long)op->cookie, op->least, op->most);
}

/* It came back under its new name, before it was said to have it. */
static void op_take_name(struct op *op)
{
	for (struct op *asking = op->ring->ops; asking; asking = asking->next)
		if (asking->target == op && asking->renamed_to) {
			struct owner *old = op->owner;

			op->owner = asking->renamed_to;
			asking->renamed_to = old;
		}
	op->cookie = op->renamed;
	op->renamed = 0;
}

/* A completion was taken: of whose operation, and was it owed? */
static void op_complete(struct ring *ring, uint64_t cookie, int res, unsigned flags)
{
	struct op *op = op_find(ring, cookie, res, flags);

	if (!op) {
		if (ring->astray) {
			ring->astray--;
			return;
		}
		if (ring->has_cancelled_any && cookie == NOBODY && res == -ECANCELED)
			return;
		if (ring->unexplained && cookie == NOBODY) {
			ring->unexplained--;
			return;
		}
		op_say_all(ring, cookie, res, flags);
		surprise("a completion", res);
	}
	/* It may also be one of those that are told of only when they fail. */
	if (op->is_nobodys && res == -ECANCELED && ring->has_cancelled_any)
		ring->unexplained++;
	if (op->cookie != cookie)
		op_take_name(op);
	op->shots++;
	if (op->arrive)
		op->arrive(op, res, flags);
	if (flags & IORING_CQE_F_MORE)
		return;
	if (op->waits)
		ring->waiting--;
	op_disown(op);
	if (op->finish)
		op->finish(op, res);
	if (op->held)
		owner_release(op->held);
	op_forget(op);
}

#endif
