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

/* Copies what follows `name` and a blank, whole or not at all. */
static bool take_text(const char *line, const char *name, char *ret, size_t size)
{
	size_t length = strlen(name);

	if (strncmp(line, name, length) || line[length] != ' ' || strlen(line + length + 1) >= size)
		return false;
	memcpy(ret, line + length + 1, strlen(line + length + 1) + 1);
	return true;
}

static bool is_same_clock(const char *written, const char *clock_id)
{
	size_t boot_length = strcspn(clock_id, "/");

	return !strcmp(written, clock_id) ||
	       (strlen(written) == boot_length && !strncmp(written, clock_id, boot_length));
}

/* "LOWEST RANK" or "LOWEST -" */
static bool read_fleet(struct client_state *s, const char *text)
{
	int end = 0;

	s->fleet = true;
	s->fleet_rank = FLEET_NO_PERMIT;
	if (sscanf(text, "%" SCNu64 " -%n", &s->fleet_lowest, &end) == 1 && end)
		return !text[end] && s->fleet_lowest <= GENERATION_MAX;
	return sscanf(text, "%" SCNu64 " %" SCNu32 "%n", &s->fleet_lowest, &s->fleet_rank, &end) ==
		       2 &&
	       !text[end] && s->fleet_lowest <= GENERATION_MAX;
}

/* Each of these is held to its form. What a later version adds has another name, and is skipped:
 * who goes back to this one must not lose what is revoked. */
static bool is_known(const char *line)
{
	static const char *const names[] = {"boot", "generation", "credential", "not_before",
		"failure", "error", "words", "correlation", "fleet", "revoked", "pace", "mint"};
	size_t length = strcspn(line, " ");

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i]) == length && !memcmp(line, names[i], length))
			return true;
	return false;
}

static bool read_line(
	struct client_state *s, const char *line, const char *clock_id, bool *same_clock)
{
	struct source_failure *f = &s->failure;
	char profile[PROFILE_NAME_MAX + 1];
	int64_t ns;
	int class, end = 0;

	if (!is_known(line))
		return true;
	if (!strncmp(line, "boot ", 5)) {
		*same_clock = is_same_clock(line + 5, clock_id);
		return true;
	}
	if (sscanf(line, "generation %" SCNu64 " %" SCNu64 "%n", &s->generation_used,
		    &s->generation_reserved, &end) == 2 &&
		!line[end])
		return s->generation_used <= s->generation_reserved &&
		       s->generation_reserved <= GENERATION_MAX;
	if (sscanf(line, "credential %32s %32s%n", s->salt, s->tag, &end) == 2 && !line[end])
		return true;
	if (sscanf(line, "not_before %" SCNd64 "%n", &ns, &end) == 1 && !line[end]) {
		s->not_before.ns = ns;
		return true;
	}
	if (sscanf(line, "failure %d %ld %" SCNd64 "%n", &class, &f->status, &f->at.ns, &end) ==
			3 &&
		!line[end]) {
		f->any = true;
		f->class = (enum response_class) class;
		return class > RESPONSE_TOKEN && class <= RESPONSE_LOGIN_REQUIRED;
	}
	if (sscanf(line, "pace %" SCNd64 "%n", &ns, &end) == 1 && !line[end]) {
		s->mint.pace.ns = ns;
		return ns > 0;
	}
	if (sscanf(line, "mint %" SCNd64 "%n", &ns, &end) == 1 && !line[end]) {
		mint_window_add(&s->mint, (struct boot_time){ns});
		return true;
	}
	if (!strncmp(line, "fleet ", 6))
		return read_fleet(s, line + 6);
	if (take_text(line, "revoked", profile, sizeof(profile)))
		return profile_name_valid(profile) && !client_state_set_revoked(s, profile, true);
	return take_text(line, "error", f->error, sizeof(f->error)) ||
	       take_text(line, "words", f->words, sizeof(f->words)) ||
	       take_text(line, "correlation", f->correlation_id, sizeof(f->correlation_id));
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
	bool same_clock = false;
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
		if (*line && !read_line(s, line, clock_id, &same_clock))
			goto out;
	if (!same_clock) {
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
