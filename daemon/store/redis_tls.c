#include "redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int refuse(char why[REDIS_TLS_WHY_MAX], const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why, REDIS_TLS_WHY_MAX, "%s %s cannot be used: %s", what, path,
		reason ? reason : "it is not as OpenSSL wants it");
	ERR_clear_error();
	return -EINVAL;
}

static int load(SSL_CTX *context, const char *ca_file, const char *cert_file, const char *key_file,
	char why[REDIS_TLS_WHY_MAX])
{
	if (ca_file) {
		if (SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1)
			return refuse(why, "fleet_ca_file", ca_file);
	} else if (SSL_CTX_set_default_verify_paths(context) != 1) {
		return -ENOMEM;
	}
	if (!cert_file)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
		return refuse(why, "fleet_cert_file", cert_file);
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
		return refuse(why, "fleet_cert_key_file", key_file);
	return 0;
}

int redis_tls_new(SSL_CTX **ret, const char *ca_file, const char *cert_file, const char *key_file,
	char ret_why[REDIS_TLS_WHY_MAX])
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int r;

	ERR_clear_error();
	if (!context)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	r = load(context, ca_file, cert_file, key_file, ret_why);
	if (r) {
		SSL_CTX_free(context);
		return r;
	}
	*ret = context;
	return 0;
}

static bool is_address(const char *name)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* A copy, as OpenSSL's macro wants a char * for what it only reads. */
static bool expect_name(SSL *tls, const char *name)
{
	char *copy = strdup(name);
	bool fine =
		copy && SSL_set1_host(tls, copy) == 1 && SSL_set_tlsext_host_name(tls, copy) == 1;

	free(copy);
	return fine;
}

SSL *redis_tls_connection(SSL_CTX *context, const char *name)
{
	SSL *tls = SSL_new(context);
	bool fine;

	if (!tls)
		return NULL;
	SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(name))
		fine = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), name) == 1;
	else
		fine = expect_name(tls, name);
	if (!fine) {
		SSL_free(tls);
		return NULL;
	}
	return tls;
}

int64_t redis_tls_certificate_end(const SSL *tls)
{
	X509 *certificate = SSL_get1_peer_certificate(tls);
	struct tm end;
	int64_t ret = 0;

	if (certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
		ret = timegm(&end);
	X509_free(certificate);
	return ret;
}

void redis_tls_why(
	const SSL *tls, unsigned long error, const char *name, char ret_why[REDIS_TLS_WHY_MAX])
{
	long verdict = SSL_get_verify_result(tls);
	const char *reason = ERR_reason_error_string(error);

	if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
		snprintf(ret_why, REDIS_TLS_WHY_MAX, "its certificate is not for %s", name);
	else if (verdict != X509_V_OK)
		snprintf(ret_why, REDIS_TLS_WHY_MAX, "its certificate is not trusted: %s",
			X509_verify_cert_error_string(verdict));
	else if (ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
		snprintf(ret_why, REDIS_TLS_WHY_MAX, "it does not speak TLS at this port");
	else
		snprintf(ret_why, REDIS_TLS_WHY_MAX, "TLS failed: %s",
			reason ? reason : "the connection was closed");
}
