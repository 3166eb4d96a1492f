#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/check.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/svid/x509_svid.h"

namespace credence {
namespace {

/// The root of the seeds' chains.
constexpr std::string_view kRoot =
    R"(MIIBcTCCARegAwIBAgICA+kwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEcm9vdDAeFw0yNjExMjEyMzMwMDBa)"
    R"(Fw0yNjExMjIwMDMwMDBaMA8xDTALBgNVBAMMBHJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARCPLIc)"
    R"(uC40y/Opu0hf1uxRrgkrdHQQKq2aoZj9ZZ8EOR6bhBaXDYYgMvNXjfDmx6qdUI4Ef6py/Lj0RpfdCSGKo2Mw)"
    R"(YTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUz/udyDYweq4nmg6jo7hhoS9i)"
    R"(asYwHwYDVR0RBBgwFoYUc3BpZmZlOi8vZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDSAAwRQIgKu5bJmXVK2F2)"
    R"(i2LKXt6ocMQsN9CbjIhYHUt1BGPKzJECIQDUeXj1SEO/FZoa1T3KAJT0iLA53brMWXidXYsGVOiscg==)";

const std::vector<std::string>& Authorities() {
  static const std::vector<std::string> authorities{*Base64Decode(kRoot)};
  return authorities;
}

void CheckChain(std::vector<std::string> certificates) {
  const auto chain = ParseX509SvidChain(std::move(certificates));
  if (!chain.ok()) {
    return;
  }
  CREDENCE_CHECK(!chain->id.path().empty() && !chain->certificates.empty());
  VerifyX509Svid(*chain, Authorities(), FromUnixSeconds(1'795'305'600))
      .IgnoreBecause("either outcome is fine; it must only not crash");
}

}  // namespace
}  // namespace credence

/// DER certificates one after the other, or PEM text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  credence::CheckChain({std::string(text)});
  if (auto split = credence::SplitCertificates(text); split.ok()) {
    std::string joined;
    for (const std::string& certificate : *split) {
      joined += certificate;
    }
    CREDENCE_CHECK(joined == text);
    credence::CheckChain(*std::move(split));
  }
  if (auto certificates = credence::CertificatesFromPem(text); certificates.ok()) {
    const auto again = credence::CertificatesFromPem(credence::CertificatesToPem(*certificates));
    CREDENCE_CHECK(again.ok() && *again == *certificates);
    credence::CheckChain(*std::move(certificates));
  }
  return 0;
}
