#include "client_state.h"

#include "digest.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "gctokend client state 1"
#define SUM_LINE "sum "
#define DIGEST_HEX 64

void client_state_tag(const char *salt, const char *client_id, const char *client_secret,
	char ret_tag[CREDENTIAL_TAG_LENGTH + 1])
{
	const char *parts[] = {salt, client_id, client_secret};

	digest_hex(parts, 3, ret_tag, CREDENTIAL_TAG_LENGTH);
}

void client_state_name(
	const char *token_url, const char *client_id, const char *grant, char ret_name[40])
{
	const char *parts[] = {token_url, client_id, grant};

	digest_hex(parts, 3, ret_name, 32);
	memcpy(ret_name + 32, ".state", sizeof(".state"));
}

void client_state_fini(struct client_state *s)
{
	free(s->revoked);
	s->revoked = NULL;
}

/* The line that names the profile; NULL: there is none. */
static char *revoked_line(const struct client_state *s, const char *profile)
{
	size_t length = strlen(profile);
	char *line = s->revoked;

	while (line && *line && (strncmp(line, profile, length) != 0 || line[length] != '\n'))
		line = strchr(line, '\n') + 1;
	return line && *line ? line : NULL;
}

bool client_state_revoked(const struct client_state *s, const char *profile)
{
	return revoked_line(s, profile) != NULL;
}

int client_state_set_revoked(struct client_state *s, const char *profile, bool revoked)
{
	char *line = revoked_line(s, profile), *more, *rest;

	if (revoked == (line != NULL))
		return 0;
	if (line) {
		rest = line + strlen(profile) + 1;
		memmove(line, rest, strlen(rest) + 1);
		if (!*s->revoked)
			client_state_fini(s);
		return 0;
	}
	if (asprintf(&more, "%s%s\n", s->revoked ? s->revoked : "", profile) < 0)
		return -ENOMEM;
	free(s->revoked);
	s->revoked = more;
	return 0;
}

static void write_revoked(const struct client_state *s, struct buffer *out)
{
	const char *line = s->revoked, *end;

	for (; line && *line; line = end + 1) {
		end = strchr(line, '\n');
		buffer_printf(out, "revoked %.*s\n", (int)(end - line), line);
	}
}

void client_state_write(const struct client_state *s, const char *clock_id, struct buffer *out)
{
	const struct source_failure *f = &s->failure;
	char sum[DIGEST_HEX + 1];
	const char *whole[1];

	buffer_put_text(out, FIRST_LINE "\n");
	buffer_printf(out, "boot %s\n", clock_id);
	buffer_printf(out, "generation %" PRIu64 " %" PRIu64 "\n", s->generation_used,
		s->generation_reserved);
	buffer_printf(
		out, "credential %s %s\n", s->salt[0] ? s->salt : "-", s->tag[0] ? s->tag : "-");
	if (s->not_before.ns != INT64_MIN)
		buffer_printf(out, "not_before %" PRId64 "\n", s->not_before.ns);
	if (f->any) {
		buffer_printf(
			out, "failure %d %ld %" PRId64 "\n", (int)f->class, f->status, f->at.ns);
		buffer_printf(out, "error %s\nwords %s\ncorrelation %s\n", f->error, f->words,
			f->correlation_id);
	}
	if (s->fleet) {
		buffer_printf(out, "fleet %" PRIu64 " ", s->fleet_lowest);
		if (s->fleet_rank == FLEET_NO_PERMIT)
			buffer_put_text(out, "-\n");
		else
			buffer_printf(out, "%" PRIu32 "\n", s->fleet_rank);
	}
	write_revoked(s, out);
	/* Only where it counts: the first versions take a line that they do not know for damage. */
	if (mint_window_limit(&s->mint, MINT_LIMIT_AUTO) > MINT_LIMIT_AUTO_LEAST)
		buffer_printf(out, "pace %" PRId64 "\n", s->mint.pace.ns);
	for (unsigned i = s->mint.count; i-- > 0;)
		buffer_printf(out, "mint %" PRId64 "\n", mint_window_at(&s->mint, i).ns);
	buffer_put_char(out, '\0');
	if (buffer_failed(out))
		return;
	whole[0] = out->data;
	digest_hex(whole, 1, sum, DIGEST_HEX);
	out->length--;
	buffer_printf(out, SUM_LINE "%s\n", sum);
}

/* Whole or not at all. */
static bool take_text(const char *text, char *ret, size_t size)
{
	if (strlen(text) >= size)
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

static bool is_same_clock(const char *written, const char *clock_id)
{
	size_t boot_length = strcspn(clock_id, "/");

	return !strcmp(written, clock_id) ||
	       (strlen(written) == boot_length && !strncmp(written, clock_id, boot_length));
}

/* "LOWEST RANK" or "LOWEST -" */
struct reading {
	struct client_state *s;
	const char *clock_id;
	bool same_clock;
};

/* Each reads what follows its name and a blank. */

static bool read_boot(struct reading *r, const char *text)
{
	r->same_clock = is_same_clock(text, r->clock_id);
	return true;
}

static bool read_generation(struct reading *r, const char *text)
{
	struct client_state *s = r->s;
	int end = 0;

	return sscanf(text, "%" SCNu64 " %" SCNu64 "%n", &s->generation_used,
		       &s->generation_reserved, &end) == 2 &&
	       !text[end] && s->generation_used <= s->generation_reserved &&
	       s->generation_reserved <= GENERATION_MAX;
}

static bool read_credential(struct reading *r, const char *text)
{
	int end = 0;

	return sscanf(text, "%32s %32s%n", r->s->salt, r->s->tag, &end) == 2 && !text[end];
}

static bool read_ns(const char *text, int64_t *ret)
{
	int end = 0;

	return sscanf(text, "%" SCNd64 "%n", ret, &end) == 1 && !text[end];
}

static bool read_not_before(struct reading *r, const char *text)
{
	return read_ns(text, &r->s->not_before.ns);
}

static bool read_failure(struct reading *r, const char *text)
{
	struct source_failure *f = &r->s->failure;
	int class, end = 0;

	if (sscanf(text, "%d %ld %" SCNd64 "%n", &class, &f->status, &f->at.ns, &end) != 3 ||
		text[end])
		return false;
	f->any = true;
	f->class = (enum response_class) class;
	return class > RESPONSE_TOKEN && class <= RESPONSE_LOGIN_REQUIRED;
}

static bool read_error(struct reading *r, const char *text)
{
	return take_text(text, r->s->failure.error, sizeof(r->s->failure.error));
}

static bool read_words(struct reading *r, const char *text)
{
	return take_text(text, r->s->failure.words, sizeof(r->s->failure.words));
}

static bool read_correlation(struct reading *r, const char *text)
{
	return take_text(text, r->s->failure.correlation_id, sizeof(r->s->failure.correlation_id));
}

static bool read_fleet(struct reading *r, const char *text)
{
	struct client_state *s = r->s;
	int end = 0;

	s->fleet = true;
	s->fleet_rank = FLEET_NO_PERMIT;
	if (sscanf(text, "%" SCNu64 " -%n", &s->fleet_lowest, &end) == 1 && end)
		return !text[end] && s->fleet_lowest <= GENERATION_MAX;
	return sscanf(text, "%" SCNu64 " %" SCNu32 "%n", &s->fleet_lowest, &s->fleet_rank, &end) ==
		       2 &&
	       !text[end] && s->fleet_lowest <= GENERATION_MAX;
}

static bool read_revoked(struct reading *r, const char *text)
{
	char profile[PROFILE_NAME_MAX + 1];

	return take_text(text, profile, sizeof(profile)) && profile_name_valid(profile) &&
	       !client_state_set_revoked(r->s, profile, true);
}

static bool read_pace(struct reading *r, const char *text)
{
	return read_ns(text, &r->s->mint.pace.ns) && r->s->mint.pace.ns > 0;
}

static bool read_mint(struct reading *r, const char *text)
{
	struct boot_time at;

	if (!read_ns(text, &at.ns))
		return false;
	mint_window_add(&r->s->mint, at);
	return true;
}

/* Each of these is held to its form. What a later version adds has another name, and is skipped:
 * who goes back to this one must not lose what is revoked. */
static bool read_line(struct reading *r, const char *line)
{
	static const struct {
		const char *name;
		bool (*read)(struct reading *r, const char *text);
	} known[] = {
		{"boot", read_boot},
		{"generation", read_generation},
		{"credential", read_credential},
		{"not_before", read_not_before},
		{"failure", read_failure},
		{"error", read_error},
		{"words", read_words},
		{"correlation", read_correlation},
		{"fleet", read_fleet},
		{"revoked", read_revoked},
		{"pace", read_pace},
		{"mint", read_mint},
	};
	size_t length = strcspn(line, " ");

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i].name) == length && !memcmp(line, known[i].name, length))
			return line[length] && known[i].read(r, line + length + 1);
	return true;
}

static bool sum_holds(char *text, size_t length)
{
	char *sum_line, sum[DIGEST_HEX + 1];
	const char *whole[1] = {text};

	if (length < strlen(FIRST_LINE) + strlen(SUM_LINE) + DIGEST_HEX + 2 ||
		memchr(text, '\0', length) || text[length - 1] != '\n')
		return false;
	text[length - 1] = '\0';
	sum_line = text + length - 1 - DIGEST_HEX - strlen(SUM_LINE);
	if (sum_line[-1] != '\n' || strncmp(sum_line, SUM_LINE, strlen(SUM_LINE)))
		return false;
	*sum_line = '\0';
	digest_hex(whole, 1, sum, DIGEST_HEX);
	return !strcmp(sum, sum_line + strlen(SUM_LINE));
}

int client_state_read(
	const char *text, size_t length, const char *clock_id, struct client_state *ret)
{
	struct client_state *s = calloc(1, sizeof(*s));
	char *copy = malloc(length + 1), *rest, *line;
	struct reading reading = {.s = s, .clock_id = clock_id};
	int r = -ENOMEM;

	if (!s || !copy)
		goto out;
	memcpy(copy, text, length);
	copy[length] = '\0';
	s->not_before.ns = INT64_MIN;
	r = -EINVAL;
	if (!sum_holds(copy, length))
		goto out;
	rest = copy;
	line = strsep(&rest, "\n");
	if (strcmp(line, FIRST_LINE))
		goto out;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line && !read_line(&reading, line))
			goto out;
	if (!reading.same_clock) {
		s->mint.count = 0;
		s->not_before.ns = INT64_MIN;
		s->failure = (struct source_failure){0};
	}
	*ret = *s;
	s->revoked = NULL; /* taken */
	r = 0;
out:
	free(copy);
	if (s)
		client_state_fini(s);
	free(s);
	return r;
}

void client_state_drop_future(struct client_state *s, struct boot_time now)
{
	struct mint_window window = {.pace = s->mint.pace};

	for (unsigned i = s->mint.count; i-- > 0;) {
		struct boot_time at = mint_window_at(&s->mint, i);

		if (!boot_before(now, at))
			mint_window_add(&window, at);
	}
	s->mint = window;
	if (s->failure.any && boot_before(now, s->failure.at)) {
		s->failure = (struct source_failure){0};
		s->not_before.ns = INT64_MIN;
	}
	if (boot_before(boot_add(now, duration_s(RETRY_AFTER_CAP_S)), s->not_before))
		s->not_before.ns = INT64_MIN;
}
