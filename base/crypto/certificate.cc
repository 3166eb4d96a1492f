#include "base/crypto/certificate.h"

#include <optional>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/core/file.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

constexpr std::size_t kPemLine = 64;

struct OpenSslFree {
  void operator()(void* memory) const { OPENSSL_free(memory); }
};

/// Frees what PEM_read_bio hands out.
struct PemBlock {
  std::unique_ptr<char, OpenSslFree> name;
  std::unique_ptr<char, OpenSslFree> header;
  std::unique_ptr<unsigned char, OpenSslFree> data;
  std::size_t size = 0;
};

/// The next block, or nullopt at the end of the text. Errors: kInvalidArgument for a damaged block.
Result<std::optional<PemBlock>> NextBlock(BIO* bio) {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  ERR_clear_error();
  if (PEM_read_bio(bio, &name, &header, &data, &size) == 1) {
    return std::optional<PemBlock>(PemBlock{std::unique_ptr<char, OpenSslFree>(name),
                                            std::unique_ptr<char, OpenSslFree>(header),
                                            std::unique_ptr<unsigned char, OpenSslFree>(data),
                                            static_cast<std::size_t>(size)});
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
    ERR_clear_error();
    return std::optional<PemBlock>();
  }
  return OpenSslError(Code::kInvalidArgument, "damaged PEM block");
}

Result<std::string> CertificateIn(const PemBlock& block) {
  if (std::string_view(block.name.get()) != PEM_STRING_X509) {
    return Error(Code::kInvalidArgument, "a PEM block is not a CERTIFICATE");
  }
  if (*block.header != '\0') {
    return Error(Code::kInvalidArgument, "a CERTIFICATE block has headers");
  }
  std::string der(static_cast<const char*>(static_cast<const void*>(block.data.get())), block.size);
  auto parsed = ParseCertificate(der);
  if (!parsed.ok()) {
    return std::move(parsed).error();
  }
  return der;
}

}  // namespace

Result<OpenSslPtr<X509>> ParseCertificate(std::string_view der) {
  if (der.empty() || der.size() > kMaxPemBytes) {
    return Error(Code::kInvalidArgument, "not a DER certificate: it is empty or too long");
  }
  const unsigned char* at = AsUnsigned(der);
  const unsigned char* end = at + der.size();
  OpenSslPtr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) {
    return OpenSslError(Code::kInvalidArgument, "not a DER certificate");
  }
  if (at != end) {
    return Error(Code::kInvalidArgument, "bytes follow a DER certificate");
  }
  return certificate;
}

Result<std::vector<std::string>> SplitCertificates(std::string_view concatenated) {
  std::vector<std::string> certificates;
  const unsigned char* at = AsUnsigned(concatenated);
  while (!concatenated.empty()) {
    if (certificates.size() == kMaxCertificates || concatenated.size() > kMaxPemBytes) {
      return Error(Code::kInvalidArgument, "too many DER certificates");
    }
    const OpenSslPtr<X509> certificate(
        d2i_X509(nullptr, &at, static_cast<long>(concatenated.size())));
    if (certificate == nullptr) {
      return OpenSslError(Code::kInvalidArgument,
                          fmt::format("certificate {} is not DER", certificates.size()));
    }
    const auto size = static_cast<std::size_t>(at - AsUnsigned(concatenated));
    certificates.emplace_back(concatenated.substr(0, size));
    concatenated.remove_prefix(size);
  }
  return certificates;
}

Result<std::vector<std::string>> CertificatesFromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the PEM text is longer than {} bytes", kMaxPemBytes));
  }
  const OpenSslPtr<BIO> bio = ReadOnlyBio(pem);
  if (bio == nullptr) {
    return OpenSslError(Code::kInternal, "read PEM text");
  }
  std::vector<std::string> certificates;
  while (true) {
    auto block = NextBlock(bio.get());
    if (!block.ok()) {
      return std::move(block).error();
    }
    if (!block->has_value()) {
      break;
    }
    auto der = CertificateIn(**block);
    if (!der.ok()) {
      return std::move(der).error();
    }
    if (certificates.size() == kMaxCertificates) {
      return Error(Code::kInvalidArgument,
                   fmt::format("the PEM text holds more than {} certificates", kMaxCertificates));
    }
    certificates.push_back(*std::move(der));
  }
  if (certificates.empty()) {
    return Error(Code::kInvalidArgument, "the PEM text holds no CERTIFICATE block");
  }
  return certificates;
}

Result<std::vector<std::string>> ReadCertificateFile(const std::string& path) {
  auto text = ReadFile(path, kMaxPemBytes);
  if (!text.ok()) {
    return std::move(text).error();
  }
  auto certificates = CertificatesFromPem(*text);
  if (!certificates.ok()) {
    return std::move(certificates).error().Wrap(path);
  }
  return certificates;
}

std::string CertificateToPem(std::string_view der) {
  const std::string text = Base64Encode(der);
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t at = 0; at < text.size(); at += kPemLine) {
    pem.append(text, at, kPemLine);
    pem += '\n';
  }
  return pem + "-----END CERTIFICATE-----\n";
}

std::string CertificatesToPem(const std::vector<std::string>& certificates) {
  std::string pem;
  for (const std::string& certificate : certificates) {
    pem += CertificateToPem(certificate);
  }
  return pem;
}

Result<std::string> PublicKeyOf(std::string_view certificate) {
  const auto parsed = ParseCertificate(certificate);
  if (!parsed.ok()) {
    return parsed.error();
  }
  std::string der = ToDer<X509_PUBKEY>(
      X509_get_X509_PUBKEY(parsed->get()),
      [](X509_PUBKEY* key, unsigned char** out) { return i2d_X509_PUBKEY(key, out); });
  if (der.empty()) {
    return OpenSslError(Code::kInvalidArgument, "the certificate has no usable public key");
  }
  return der;
}

Result<OpenSslPtr<EVP_PKEY>> ParsePublicKey(std::string_view der) {
  constexpr std::size_t kMaxPublicKey = std::size_t{16} << 10;
  if (der.empty() || der.size() > kMaxPublicKey) {
    return Error(Code::kInvalidArgument, "not a DER public key: it is empty or too long");
  }
  const unsigned char* at = AsUnsigned(der);
  const unsigned char* end = at + der.size();
  OpenSslPtr<EVP_PKEY> key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  if (key == nullptr) {
    return OpenSslError(Code::kInvalidArgument, "not a DER public key");
  }
  if (at != end) {
    return Error(Code::kInvalidArgument, "bytes follow a DER public key");
  }
  return key;
}

}  // namespace credence
