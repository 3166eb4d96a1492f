#include "base/svid/x509_svid.h"

#include <ctime>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>

#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

constexpr std::size_t kMaxChain = 16;
// RSA from 2048 bits and SHA-2; what an SVID's issuers must reach.
constexpr int kSecurityLevel = 2;

Error Invalid(std::string_view rule) {
  return Error(Code::kInvalidArgument, "X509-SVID: " + std::string(rule));
}

std::optional<WallTime> ToWallTime(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) {
    return std::nullopt;
  }
  return FromUnixSeconds(timegm(&fields));
}

bool HasSubject(const X509* leaf) {
  return X509_NAME_entry_count(X509_get_subject_name(leaf)) > 0;
}

/// The text of the one URI among the leaf's alternative names.
Result<std::string> UriSan(const X509* leaf) {
  int critical = 0;
  const OpenSslPtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, nullptr)));
  if (names == nullptr) {
    (void)TakeOpenSslReason();
    return Invalid("the leaf has no single, readable subject alternative name extension");
  }
  if (critical != 1 && !HasSubject(leaf)) {
    return Invalid("the leaf has no subject, so its alternative names must be critical");
  }
  std::optional<std::string> uri;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) {
      continue;
    }
    if (uri.has_value()) {
      return Invalid("the leaf has more than one URI name");
    }
    const ASN1_STRING* text = name->d.uniformResourceIdentifier;
    const void* bytes = ASN1_STRING_get0_data(text);
    uri.emplace(static_cast<const char*>(bytes),
                static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  if (!uri.has_value()) {
    return Invalid("the leaf has no URI name");
  }
  return *std::move(uri);
}

bool IsCritical(const X509* certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) == 1;
}

Result<void> CheckLeafUsage(X509* leaf) {
  const std::uint32_t flags = X509_get_extension_flags(leaf);
  if ((flags & EXFLAG_INVALID) != 0) {
    return Invalid("an extension of the leaf is damaged or repeated");
  }
  if ((flags & EXFLAG_CA) != 0) {
    return Invalid("the leaf is a CA certificate");
  }
  if ((flags & EXFLAG_KUSAGE) == 0 || !IsCritical(leaf, NID_key_usage)) {
    return Invalid("the leaf has no critical key usage");
  }
  const std::uint32_t usage = X509_get_key_usage(leaf);
  if ((usage & KU_DIGITAL_SIGNATURE) == 0) {
    return Invalid("the leaf's key usage lacks digitalSignature");
  }
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) {
    return Invalid("the leaf's key usage has keyCertSign or cRLSign");
  }
  constexpr std::uint32_t kBothSides = XKU_SSL_SERVER | XKU_SSL_CLIENT;
  if ((flags & EXFLAG_XKUSAGE) != 0 &&
      (X509_get_extended_key_usage(leaf) & kBothSides) != kBothSides) {
    return Invalid("the leaf's extended key usage lacks serverAuth or clientAuth");
  }
  return Ok();
}

Result<SpiffeId> LeafId(X509* leaf) {
  if (auto usage = CheckLeafUsage(leaf); !usage.ok()) {
    return std::move(usage).error();
  }
  const auto uri = UriSan(leaf);
  if (!uri.ok()) {
    return uri.error();
  }
  auto id = SpiffeId::Parse(*uri);
  if (!id.ok()) {
    return std::move(id).error().Wrap("X509-SVID");
  }
  if (id->path().empty()) {
    return Invalid("the leaf's SPIFFE ID has no path");
  }
  return id;
}

Result<std::vector<OpenSslPtr<X509>>> ParseAll(const std::vector<std::string>& certificates) {
  std::vector<OpenSslPtr<X509>> parsed;
  for (const std::string& der : certificates) {
    auto certificate = ParseCertificate(der);
    if (!certificate.ok()) {
      return std::move(certificate)
          .error()
          .Wrap(fmt::format("X509-SVID: certificate {}", parsed.size()));
    }
    parsed.push_back(*std::move(certificate));
  }
  return parsed;
}

Error Untrusted(std::string_view reason) {
  return Error(Code::kUnauthenticated, fmt::format("X509-SVID is not trusted: {}", reason));
}

/// The authorities that may issue: a certificate in a bundle that is no CA cannot vouch, not even
/// for itself.
Result<OpenSslPtr<X509_STORE>> MakeStore(const std::vector<std::string>& authorities) {
  OpenSslPtr<X509_STORE> store(X509_STORE_new());
  CREDENCE_CHECK(store != nullptr);
  for (const std::string& der : authorities) {
    const auto authority = ParseCertificate(der);
    if (!authority.ok()) {
      return Untrusted("an authority of its trust domain cannot be read");
    }
    const std::uint32_t flags = X509_get_extension_flags(authority->get());
    if ((flags & EXFLAG_CA) != 0 && (flags & EXFLAG_INVALID) == 0) {
      CREDENCE_CHECK(X509_STORE_add_cert(store.get(), authority->get()) == 1);
    }
  }
  return store;
}

OpenSslPtr<STACK_OF(X509)> Intermediates(const std::vector<OpenSslPtr<X509>>& chain) {
  OpenSslPtr<STACK_OF(X509)> stack(sk_X509_new_null());
  CREDENCE_CHECK(stack != nullptr);
  for (std::size_t i = 1; i < chain.size(); ++i) {
    CREDENCE_CHECK(X509_up_ref(chain[i].get()) == 1 &&
                   sk_X509_push(stack.get(), chain[i].get()) > 0);
  }
  return stack;
}

/// No purpose is set: what an issuer's extended key usage says is its own business. Authorities may
/// be intermediates.
void SetRules(X509_STORE_CTX* context, WallTime now) {
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_time(rules, static_cast<std::time_t>(ToUnixSeconds(now)));
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaxChain));
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
}

}  // namespace

Result<X509SvidChain> ParseX509SvidChain(std::vector<std::string> certificates) {
  if (certificates.empty()) {
    return Invalid("there is no certificate");
  }
  if (certificates.size() > kMaxChain) {
    return Invalid(fmt::format("the chain has more than {} certificates", kMaxChain));
  }
  const auto parsed = ParseAll(certificates);
  if (!parsed.ok()) {
    return parsed.error();
  }
  X509* leaf = parsed->front().get();
  auto id = LeafId(leaf);
  if (!id.ok()) {
    return std::move(id).error();
  }
  const auto not_before = ToWallTime(X509_get0_notBefore(leaf));
  const auto not_after = ToWallTime(X509_get0_notAfter(leaf));
  if (!not_before.has_value() || !not_after.has_value()) {
    return Invalid("the leaf's validity cannot be read");
  }
  return X509SvidChain{*std::move(id), std::move(certificates), *not_before, *not_after};
}

Result<void> VerifyX509Svid(const X509SvidChain& chain,
                            const std::vector<std::string>& authorities,
                            WallTime now) {
  const auto checked = ParseX509SvidChain(chain.certificates);
  if (!checked.ok()) {
    return Untrusted(checked.error().message());
  }
  if (checked->id != chain.id) {
    return Untrusted("the certificate does not bear its SPIFFE ID");
  }
  const auto certificates = ParseAll(chain.certificates);
  if (!certificates.ok()) {
    return Untrusted(certificates.error().message());
  }
  const auto store = MakeStore(authorities);
  if (!store.ok()) {
    return store.error();
  }
  const auto intermediates = Intermediates(*certificates);
  const OpenSslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  CREDENCE_CHECK(context != nullptr);
  if (X509_STORE_CTX_init(
          context.get(), store->get(), certificates->front().get(), intermediates.get()) != 1) {
    return OpenSslError(Code::kInternal, "prepare the verification of an X509-SVID");
  }
  SetRules(context.get(), now);
  const int verified = X509_verify_cert(context.get());
  const int reason = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (verified != 1) {
    return Untrusted(X509_verify_cert_error_string(reason));
  }
  return Ok();
}

bool SignedByTainted(const X509SvidChain& chain, const TrustBundle& bundle, WallTime now) {
  return !bundle.tainted_x509_authorities.empty() &&
         VerifyX509Svid(chain, bundle.tainted_x509_authorities, now).ok();
}

}  // namespace credence
