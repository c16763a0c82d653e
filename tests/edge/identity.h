/* What tests need to play a server: certificates made in memory, and a listening socket. */
#ifndef GCTOKEND_TESTS_IDENTITY_H
#define GCTOKEND_TESTS_IDENTITY_H

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#define CONNECTIONS_MAX 256

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static inline void sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&t, &t) < 0)
		;
}

static inline void identity_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	CHECK(extension && X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

/* `names`: subjectAltName, NULL for an authority. `issuer` NULL: signed by itself. `days` from now
 * until it ends, negative: it has ended. */
static inline struct identity identity_new(
	const struct identity *issuer, const char *names, int days)
{
	struct identity i = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
	const struct identity *by = issuer ? issuer : &i;
	X509_NAME *name = X509_get_subject_name(i.certificate);
	static long serial = 1;
	char subject[32];

	CHECK(i.key && i.certificate && name);
	snprintf(subject, sizeof(subject), "%s %ld", names ? "server" : "authority", serial);
	CHECK(X509_set_version(i.certificate, X509_VERSION_3));
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(i.certificate), serial++));
	CHECK(X509_gmtime_adj(X509_getm_notBefore(i.certificate), -86400L * 30));
	CHECK(X509_gmtime_adj(X509_getm_notAfter(i.certificate), 86400L * days));
	CHECK(X509_set_pubkey(i.certificate, i.key));
	CHECK(X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0));
	CHECK(X509_set_issuer_name(i.certificate, X509_get_subject_name(by->certificate)));
	if (names)
		identity_extend(i.certificate, by->certificate, NID_subject_alt_name, names);
	else
		identity_extend(
			i.certificate, by->certificate, NID_basic_constraints, "critical,CA:TRUE");
	CHECK(X509_sign(i.certificate, by->key, EVP_sha256()));
	return i;
}

static inline void identity_free(struct identity *i)
{
	EVP_PKEY_free(i->key);
	X509_free(i->certificate);
	*i = (struct identity){0};
}

static inline void identity_write(const struct identity *i, char path[])
{
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	CHECK(file);
	CHECK(PEM_write_X509(file, i->certificate));
	CHECK(fclose(file) == 0);
}

static inline int listener_new(int *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0);
	CHECK(listen(fd, CONNECTIONS_MAX) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

#endif
