#include "base/crypto/certificate_issuing.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <openssl/ec.h>

#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

constexpr std::size_t kMaxRequest = std::size_t{16} << 10;
constexpr std::size_t kMaxCommonName = 64;
constexpr std::size_t kMaxName = 2048;
constexpr std::size_t kMaxDnsNames = 256;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr int kSerialBits = 128;

using namespace std::string_view_literals;

/// All of a DER SubjectPublicKeyInfo before the point.
struct Curve {
  int nid;
  std::size_t coordinate_bytes;
  std::string_view prefix;
};

constexpr std::array<Curve, 3> kCurves = {{
    {NID_X9_62_prime256v1,
     32,
     "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
     "\x03\x42\x00"sv},
    {NID_secp384r1,
     48,
     "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62"
     "\x00"sv},
    {NID_secp521r1,
     66,
     "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81"
     "\x86\x00"sv},
}};

struct CurveDeleter {
  void operator()(EC_GROUP* group) const { EC_GROUP_free(group); }
  void operator()(EC_POINT* point) const { EC_POINT_free(point); }
};

Error Invalid(std::string_view rule) {
  return Error(Code::kInvalidArgument, std::string(rule));
}

/// nullptr unless `public_key` is an uncompressed point in DER on one of the curves.
const Curve* CurveOf(std::string_view public_key) {
  constexpr char kUncompressed = 4;
  for (const Curve& curve : kCurves) {
    const std::size_t size = curve.prefix.size() + 1 + 2 * curve.coordinate_bytes;
    if (public_key.size() == size && public_key.starts_with(curve.prefix) &&
        public_key[curve.prefix.size()] == kUncompressed) {
      return &curve;
    }
  }
  return nullptr;
}

/// Errors: kInvalidArgument.
Result<void> CheckPoint(const Curve& curve, std::string_view point) {
  const std::unique_ptr<EC_GROUP, CurveDeleter> group(EC_GROUP_new_by_curve_name(curve.nid));
  const std::unique_ptr<EC_POINT, CurveDeleter> read(group == nullptr ? nullptr
                                                                      : EC_POINT_new(group.get()));
  if (read == nullptr ||
      EC_POINT_oct2point(group.get(), read.get(), AsUnsigned(point), point.size(), nullptr) != 1) {
    return OpenSslError(Code::kInvalidArgument, "the public key is not a point on its curve");
  }
  return Ok();
}

Result<OpenSslPtr<EVP_PKEY>> RsaKey(std::string_view public_key) {
  auto key = ParsePublicKey(public_key);
  if (!key.ok()) {
    return key;
  }
  const int bits = EVP_PKEY_get_bits(key->get());
  if (EVP_PKEY_get_base_id(key->get()) != EVP_PKEY_RSA || bits < kMinRsaBits ||
      bits > kMaxRsaBits) {
    return Invalid(
        "the public key is neither RSA of 2048 to 8192 bits nor a point on P-256, P-384 or P-521");
  }
  return key;
}

/// Errors: as IssueCertificate for a public key.
Result<void> CheckPublicKey(std::string_view public_key) {
  if (const Curve* curve = CurveOf(public_key)) {
    return CheckPoint(*curve, public_key.substr(curve->prefix.size()));
  }
  const auto key = RsaKey(public_key);
  return key.ok() ? Ok() : Result<void>(key.error());
}

/// EC keys are copied byte for byte: OpenSSL 3.0 takes 300 us to read a key and as much to write
/// one, several times what the signature takes. Errors: as IssueCertificate for a public key.
Result<void> SetPublicKey(X509* certificate, std::string_view public_key) {
  const Curve* curve = CurveOf(public_key);
  if (curve == nullptr) {
    const auto key = RsaKey(public_key);
    if (!key.ok()) {
      return key.error();
    }
    return X509_set_pubkey(certificate, key->get()) == 1
               ? Ok()
               : Result<void>(OpenSslError(Code::kInternal, "put an RSA key into a certificate"));
  }
  const std::string_view point = public_key.substr(curve->prefix.size());
  if (auto checked = CheckPoint(*curve, point); !checked.ok()) {
    return checked;
  }
  void* copy = OPENSSL_memdup(point.data(), point.size());
  if (copy == nullptr || X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(certificate),
                                                OBJ_nid2obj(NID_X9_62_id_ecPublicKey),
                                                V_ASN1_OBJECT,
                                                OBJ_nid2obj(curve->nid),
                                                static_cast<unsigned char*>(copy),
                                                static_cast<int>(point.size())) != 1) {
    OPENSSL_free(copy);
    return OpenSslError(Code::kInternal, "put an EC key into a certificate");
  }
  return Ok();
}

Result<void> CheckContent(const CertificateContent& content) {
  if (content.common_name.size() > kMaxCommonName) {
    return Invalid("the common name of a certificate is longer than 64 bytes");
  }
  if (content.not_after < content.not_before) {
    return Invalid("a certificate must not end before it starts");
  }
  if (content.dns_names.size() > kMaxDnsNames) {
    return Invalid(fmt::format("a certificate has more than {} DNS names", kMaxDnsNames));
  }
  const auto is_name = [](const std::string& name) {
    return !name.empty() && name.size() <= kMaxName &&
           std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
  };
  if ((!content.uri.empty() && !is_name(content.uri)) ||
      !std::ranges::all_of(content.dns_names, is_name)) {
    return Invalid(
        "a name in a certificate is empty, longer than 2048 bytes or not ASCII without blanks");
  }
  return Ok();
}

bool SetSerial(X509* certificate) {
  const OpenSslPtr<BIGNUM> serial(BN_new());
  return serial != nullptr &&
         BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetSubject(X509* certificate, std::string_view common_name) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const auto add = [subject](int nid, std::string_view value) {
    return X509_NAME_add_entry_by_NID(subject,
                                      nid,
                                      MBSTRING_UTF8,
                                      AsUnsigned(value),
                                      static_cast<int>(value.size()),
                                      -1,
                                      0) == 1;
  };
  return add(NID_countryName, "US") && add(NID_organizationName, "SPIRE") &&
         (common_name.empty() || add(NID_commonName, common_name));
}

bool AddName(GENERAL_NAMES* names, int type, const std::string& text) {
  OpenSslPtr<GENERAL_NAME> name(GENERAL_NAME_new());
  OpenSslPtr<ASN1_STRING> value(ASN1_IA5STRING_new());
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), type, value.release());
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) {
    return false;
  }
  (void)name.release();
  return true;
}

bool AddNames(X509* certificate, const CertificateContent& content) {
  if (content.uri.empty() && content.dns_names.empty()) {
    return true;
  }
  const OpenSslPtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  return names != nullptr && (content.uri.empty() || AddName(names.get(), GEN_URI, content.uri)) &&
         std::ranges::all_of(
             content.dns_names,
             [&](const std::string& name) { return AddName(names.get(), GEN_DNS, name); }) &&
         X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) ==
             1;
}

/// `issuer` may be `certificate`.
bool AddExtensions(X509* certificate, X509* issuer, const CertificateContent& content) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const auto add = [&](int nid, const char* value) {
    const OpenSslPtr<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
    return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
  };
  const bool usages =
      content.is_ca
          ? add(NID_key_usage, "critical,keyCertSign,cRLSign") &&
                add(NID_basic_constraints,
                    content.may_issue_cas ? "critical,CA:TRUE" : "critical,CA:TRUE,pathlen:0")
          : add(NID_key_usage, "critical,digitalSignature,keyEncipherment,keyAgreement") &&
                add(NID_ext_key_usage, "serverAuth,clientAuth") &&
                add(NID_basic_constraints, "critical,CA:FALSE");
  // The issuer's comes from its subject key identifier, so that of a self-signed one is set first.
  return usages && add(NID_subject_key_identifier, "hash") &&
         add(NID_authority_key_identifier, "keyid:always") && AddNames(certificate, content);
}

/// SHA-384 goes with P-384, SHA-256 with everything else.
const EVP_MD* DigestFor(const EVP_PKEY* key) {
  const bool is_p384 = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) == 384;
  return is_p384 ? EVP_sha384() : EVP_sha256();
}

/// "" if OpenSSL fails.
std::string Decimal(const ASN1_INTEGER* number) {
  const OpenSslPtr<BIGNUM> value(ASN1_INTEGER_to_BN(number, nullptr));
  char* text = value == nullptr ? nullptr : BN_bn2dec(value.get());
  std::string decimal(text == nullptr ? "" : text);
  OPENSSL_free(text);
  return decimal;
}

/// `issuer` is nullptr to sign for oneself.
Result<IssuedCertificate> Issue(const CertificateContent& content,
                                std::string_view public_key,
                                const PrivateKey& issuer_key,
                                X509* issuer) {
  if (auto checked = CheckContent(content); !checked.ok()) {
    return std::move(checked).error();
  }
  const OpenSslPtr<X509> made(X509_new());
  if (made == nullptr) {
    return OpenSslError(Code::kInternal, "make a certificate");
  }
  if (auto set = SetPublicKey(made.get(), public_key); !set.ok()) {
    return std::move(set).error();
  }
  X509* signer = issuer == nullptr ? made.get() : issuer;
  if (X509_set_version(made.get(), X509_VERSION_3) != 1 || !SetSerial(made.get()) ||
      !SetSubject(made.get(), content.common_name) ||
      X509_set_issuer_name(made.get(), X509_get_subject_name(signer)) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(made.get()), ToUnixSeconds(content.not_before)) ==
          nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(made.get()), ToUnixSeconds(content.not_after)) == nullptr ||
      !AddExtensions(made.get(), signer, content) ||
      X509_sign(made.get(), issuer_key.get(), DigestFor(issuer_key.get())) <= 0) {
    return OpenSslError(Code::kInternal, "make a certificate");
  }
  IssuedCertificate issued{ToDer<const X509>(made.get(), i2d_X509),
                           Decimal(X509_get0_serialNumber(made.get()))};
  if (issued.der.empty() || issued.serial.empty()) {
    return OpenSslError(Code::kInternal, "encode a certificate");
  }
  return issued;
}

std::optional<WallTime> ToWallTime(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) {
    return std::nullopt;
  }
  return FromUnixSeconds(timegm(&fields));
}

/// Sorts the URI and DNS names of `request` into `read`.
Result<void> ReadNames(X509_REQ* request, CertificateRequest& read) {
  const OpenSslPtr<STACK_OF(X509_EXTENSION)> extensions(X509_REQ_get_extensions(request));
  if (extensions == nullptr) {
    (void)TakeOpenSslReason();
    return X509_REQ_get_attr_by_NID(request, NID_ext_req, -1) < 0
               ? Ok()
               : Result<void>(Invalid("the extensions of the request cannot be read"));
  }
  int outcome = 0;
  const OpenSslPtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, &outcome, nullptr)));
  if (names == nullptr) {
    constexpr int kAbsent = -1;
    (void)TakeOpenSslReason();
    return outcome == kAbsent
               ? Ok()
               : Result<void>(Invalid("the alternative names of the request cannot be read"));
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI && name->type != GEN_DNS) {
      continue;
    }
    const void* bytes = ASN1_STRING_get0_data(name->d.ia5);
    (name->type == GEN_URI ? read.uris : read.dns_names)
        .emplace_back(static_cast<const char*>(bytes),
                      static_cast<std::size_t>(ASN1_STRING_length(name->d.ia5)));
  }
  return Ok();
}

}  // namespace

Result<CertificateIssuer> CertificateIssuer::Create(PrivateKey key, std::string_view certificate) {
  auto parsed = ParseCertificate(certificate);
  if (!parsed.ok()) {
    return std::move(parsed).error().Wrap("the issuer's certificate");
  }
  X509* issuer = parsed->get();
  const std::uint32_t flags = X509_get_extension_flags(issuer);
  if ((flags & EXFLAG_CA) == 0 || (flags & EXFLAG_INVALID) != 0 ||
      X509_get0_subject_key_id(issuer) == nullptr) {
    return Invalid("the issuer's certificate is no CA certificate with a subject key identifier");
  }
  if (X509_check_private_key(issuer, key.get()) != 1) {
    (void)TakeOpenSslReason();
    return Invalid("the issuer's certificate is one for another key");
  }
  return CertificateIssuer(std::move(key), std::shared_ptr<X509>(*std::move(parsed)));
}

Result<IssuedCertificate> CertificateIssuer::Issue(const CertificateContent& content,
                                                   std::string_view public_key) const {
  return credence::Issue(content, public_key, key_, certificate_.get());
}

Result<std::string> IssueCertificate(const CertificateContent& content,
                                     std::string_view public_key,
                                     const PrivateKey& issuer_key,
                                     std::string_view issuer_certificate) {
  Result<IssuedCertificate> issued;
  if (issuer_certificate.empty()) {
    if (public_key != issuer_key.PublicKey()) {
      return Invalid("a certificate that is signed for oneself needs one's own public key");
    }
    issued = Issue(content, public_key, issuer_key, nullptr);
  } else {
    const auto issuer = CertificateIssuer::Create(issuer_key, issuer_certificate);
    if (!issuer.ok()) {
      return issuer.error();
    }
    issued = issuer->Issue(content, public_key);
  }
  if (!issued.ok()) {
    return std::move(issued).error();
  }
  return std::move(issued->der);
}

Result<CertificateRequest> ParseCertificateRequest(std::string_view der) {
  if (der.empty() || der.size() > kMaxRequest) {
    return Invalid("not a DER certificate request: it is empty or longer than 16 KiB");
  }
  const unsigned char* at = AsUnsigned(der);
  const unsigned char* end = at + der.size();
  const OpenSslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (request == nullptr) {
    return OpenSslError(Code::kInvalidArgument, "not a DER certificate request");
  }
  if (at != end) {
    return Invalid("bytes follow a DER certificate request");
  }
  CertificateRequest read;
  read.public_key = ToDer<const X509_PUBKEY>(
      X509_REQ_get_X509_PUBKEY(request.get()),
      [](const X509_PUBKEY* key, unsigned char** out) { return i2d_X509_PUBKEY(key, out); });
  // Before the signature: checking one of a giant key takes long.
  if (auto checked = CheckPublicKey(read.public_key); !checked.ok()) {
    return std::move(checked).error().Wrap("the certificate request");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    (void)TakeOpenSslReason();
    return Invalid("the certificate request is not signed by its own key");
  }
  if (auto names = ReadNames(request.get(), read); !names.ok()) {
    return std::move(names).error();
  }
  return read;
}

Result<CertificateFacts> FactsOfCertificate(std::string_view der) {
  const auto certificate = ParseCertificate(der);
  if (!certificate.ok()) {
    return certificate.error();
  }
  std::string serial = Decimal(X509_get0_serialNumber(certificate->get()));
  const auto not_before = ToWallTime(X509_get0_notBefore(certificate->get()));
  const auto not_after = ToWallTime(X509_get0_notAfter(certificate->get()));
  if (serial.empty() || !not_before.has_value() || !not_after.has_value()) {
    return Invalid("the serial number or the validity of the certificate cannot be read");
  }
  return CertificateFacts{std::move(serial), *not_before, *not_after};
}

}  // namespace credence
