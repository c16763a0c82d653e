#include "redirect_page.h"

#include <stdio.h>

struct page_text {
	const char *title;
	const char *mark; /* what stands in the circle */
	const char *color;
	const char *before, *after; /* the profile's name */
	const char *further;
};

static const struct page_text texts[] = {
	[PAGE_LOGGED_IN] = {"You are logged in", "&#10003;", "#1a7f37",
		"gctokend now has your login for the profile", ".", "You can close this window."},
	[PAGE_DENIED] = {"You are not logged in", "&#10007;", "#b42318",
		"The login page did not allow it for the profile", ". Nothing was changed.",
		"The terminal shows what the login page said. You can close this window."},
	[PAGE_FAILED] = {"The login did not work", "!", "#b42318",
		"gctokend could not finish it for the profile", ".",
		"The terminal says why, and what to do. You can close this window."},
};

/* Nothing is loaded from anywhere: the style is here, and there is no icon. */
static const char page_format[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s - gctoken</title>\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n"
	"<link rel=\"icon\" href=\"data:,\">\n"
	"<style>body{font:17px/1.5 system-ui,sans-serif;margin:18vh auto 0;max-width:30em;"
	"padding:0 1.5em;text-align:center}"
	"div{width:64px;height:64px;border-radius:50%%;margin:0 auto;color:#fff;background:%s;"
	"font-size:34px;line-height:64px}h1{font-size:1.6em;margin:.8em 0 .6em}"
	"p{margin:.4em 0;text-wrap:balance}</style></head>\n"
	"<body><div aria-hidden=\"true\">%s</div><h1>%s</h1>\n"
	"<p>%s <b>%s</b>%s</p><p>%s</p></body></html>\n";

static const char head_format[] = "HTTP/1.1 %s\r\n"
				  "Content-Type: %s; charset=utf-8\r\n"
				  "Content-Length: %d\r\n"
				  "Cache-Control: no-store\r\n"
				  "Content-Security-Policy: default-src 'none'; "
				  "style-src 'unsafe-inline'; img-src data:; "
				  "frame-ancestors 'none'\r\n"
				  "Referrer-Policy: no-referrer\r\n"
				  "X-Content-Type-Options: nosniff\r\n"
				  "Connection: close\r\n\r\n";

size_t redirect_page_write(enum redirect_page page, const char *profile, char *ret)
{
	const struct page_text *t = &texts[page];
	char body[REDIRECT_PAGE_SIZE - 1024] = "not found\n";
	const char *status = "404 Not Found", *type = "text/plain";
	int length = 10, head;

	if (page != PAGE_NOT_FOUND) {
		status = "200 OK";
		type = "text/html";
		length = snprintf(body, sizeof(body), page_format, t->title, t->color, t->mark,
			t->title, t->before, profile, t->after, t->further);
	}
	head = snprintf(ret, REDIRECT_PAGE_SIZE, head_format, status, type, length);
	snprintf(ret + head, REDIRECT_PAGE_SIZE - (size_t)head, "%s", body);
	return (size_t)head + (size_t)length;
}
