#include "agent/cli/authority/bundle_input.h"

#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "agent/authority/keys/issuer.h"
#include "agent/cli/input.h"
#include "base/crypto/certificate.h"

namespace credence {

using spire::api::types::Bundle;

void AddBundleFormat(CLI::App& command, const std::string& flag, BundleFormat& format) {
  static const std::map<std::string, BundleFormat> kFormats{{"pem", BundleFormat::kPem},
                                                            {"spiffe", BundleFormat::kSpiffe}};
  command.add_option(flag, format, "Form of the bundle: pem (the default) or spiffe")
      ->transform(CLI::CheckedTransformer(kFormats, CLI::ignore_case).description(""))
      ->option_text("pem|spiffe");
}

Result<Bundle> ParseBundleText(std::string_view text,
                               BundleFormat format,
                               const std::string& name) {
  auto domain = TrustDomain::Parse(name);
  if (!domain.ok()) {
    return std::move(domain).error();
  }
  if (format == BundleFormat::kSpiffe) {
    return ParseBundleDocument(*domain, text);
  }
  auto certificates = CertificatesFromPem(text);
  if (!certificates.ok()) {
    return std::move(certificates).error();
  }
  Bundle bundle;
  bundle.set_trust_domain(name);
  for (std::string& certificate : *certificates) {
    bundle.add_x509_authorities()->set_asn1(std::move(certificate));
  }
  return bundle;
}

Result<Bundle> ReadBundleFile(const std::string& path,
                              BundleFormat format,
                              const std::string& name) {
  const auto text = ReadInput(path, kMaxPemBytes);
  if (!text.ok()) {
    return text.error();
  }
  auto bundle = ParseBundleText(*text, format, name);
  if (!bundle.ok()) {
    return std::move(bundle).error().Wrap(path == "-" ? "standard input" : path);
  }
  return bundle;
}

}  // namespace credence
