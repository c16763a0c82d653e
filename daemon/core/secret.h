/* Memory for tokens, client secrets and what is made of them, and the one rule for letting go of
 * it: what is kept comes from secret_alloc and ends with secret_free; what passes through any other
 * memory is wiped with secret_wipe before that memory is freed, used again or left. Nothing of it
 * reaches a log, a metric or an error: those see fingerprints (core/token). The words of a login
 * server, which may repeat what was sent, get out through core/token_response alone, which drops
 * those that do (words_show, repeats). tests/system/test_leaks.py looks for secrets everywhere.
 *
 * Where secret bytes pass. Whoever adds a place adds it here; `tests/lint secrets` holds that.
 *
 *   client secret  a file or systemd -> host/secret_reader, host/credential (each profile keeps
 *                  one) -> core/token_request (body, header, and copies by which a response that
 *                  repeats them is known) -> upstream/fetch, upstream/fetch_handle -> libcurl
 *   password for   a file -> host/secret_reader, host/credential (likewise) -> core/fetch_settings,
 *   a proxy        broker/profile_type -> upstream/fetch_handle (header; libcurl for SOCKS)
 *   access token   upstream/http_response -> core/json, core/token_body, core/token_response ->
 *                  core/token, in the broker/token_exchange that asked for it and the slots of a
 *                  token source (core/token_slot) -> a reply (its body or a field), by
 *                  core/reply_token into a core/buffer (core/reply cuts it off a reply to HEAD),
 *                  front/connection, front/outbox, front/stream; a page, front/page; the next run,
 *                  core/handover_write, broker/handover, core/handover_read; a revocation,
 *                  broker/calls_token (call_revoke), broker/revoke; the API, about a rejected one,
 *                  broker/token_api (which a revocation passes, too). core/jwt_claims decodes it
 *                  in passing
 *   refresh token  as an access token up to core/token -> broker/login -> core/token_request; the
 *                  disk, core/login_record -> core/sealed_state (from here on encrypted) ->
 *                  host/state_file, host/durable_file, and back by broker/login_file
 *   key of these   a file, systemd or random numbers -> host/secret_reader, host/state_key,
 *                  core/state_key -> broker/login_key
 *   fleet          a token of many hosts: core/fleet_record (encrypted by core/gcm from here on),
 *                  the store of the fleet, and back, by broker/fleet_member; check_fleet_tokens
 *                  looks whether it can be opened
 *   key of these   a file or systemd -> host/secret_reader, host/state_key, core/state_key ->
 *                  host/fleet_secrets -> broker/fleet_link -> core/fleet_key, which also makes a
 *                  credential's tag
 *   store password a file or systemd -> host/credential -> host/fleet_secrets ->
 *                  store/store_settings (a copy), store/redis_link -> the store, with TLS where
 *                  that is set; check_fleet and fleet_trial take the same way
 *   key for TLS    a file -> host/file_fit, which looks whether it is one; OpenSSL reads it again
 *   login attempt  random numbers, broker/calls_login -> core/login_attempt (state, verifier)
 *   code           a request, front/passing, front/stream, front/connection (core/request_memo
 *                  while it is handled, if it came before) -> core/api -> broker/calls_login ->
 *                  broker/login_code -> core/token_request
 *
 * What libcurl and OpenSSL hold for an exchange comes from core/wiping and is wiped when they free
 * it. Out of reach: the kernel's buffers. protection.c turns core dumps off. libgctoken, which
 * links libc alone, wipes by itself. */
#ifndef GCTOKEND_CORE_SECRET_H
#define GCTOKEND_CORE_SECRET_H

#include <stddef.h>

/* From OpenSSL's secure heap, or the ordinary heap where that is absent or full: a token that is
 * not locked into memory is better than no token. NULL when both are out of memory. */
void *secret_alloc(size_t size);
/* Wipes `size` bytes and frees, whichever heap it came from. NULL is fine. */
void secret_free(void *p, size_t size);

/* `length` bytes of `text` and a NUL, from secret_alloc; NULL without memory. */
char *secret_copy(const char *text, size_t length);
/* secret_free of a text with its NUL. NULL is fine. */
void secret_text_free(char *text);

/* Overwrites memory of any kind, in a way that no compiler leaves out. NULL is fine. */
void secret_wipe(void *p, size_t size);

#endif
