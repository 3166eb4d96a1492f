#include "agent/authority/keys/key_making.h"

#include <utility>

#include <fmt/format.h>

#include "agent/authority/keys/key_files.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using std::chrono::seconds;

constexpr seconds kShortestLife{60};
constexpr seconds kLongestLife = std::chrono::hours(24 * 3660);

/// Checks that the two belong together. Errors: kInvalidArgument.
Result<SigningKey> Assemble(SigningKeyRecord record, PrivateKey key) {
  SigningKey assembled{std::move(record), std::move(key), std::nullopt, std::nullopt};
  if (assembled.record.kind() == SigningKeyRecord::JWT) {
    if (assembled.record.public_part() != assembled.key.PublicKey()) {
      return Error(Code::kInvalidArgument, "the public key is not the one of the private key");
    }
    return assembled;
  }
  auto issuer = CertificateIssuer::Create(assembled.key, assembled.record.public_part());
  if (!issuer.ok()) {
    return std::move(issuer).error();
  }
  assembled.issuer = *std::move(issuer);
  return assembled;
}

/// Errors: kDataLoss.
Result<void> CheckRecord(const SigningKeyRecord& record) {
  const bool known_kind =
      record.kind() == SigningKeyRecord::X509 || record.kind() == SigningKeyRecord::JWT;
  const bool known_state = record.state() == SigningKeyRecord::PREPARED ||
                           record.state() == SigningKeyRecord::ACTIVE ||
                           record.state() == SigningKeyRecord::OLD;
  if (!IsSigningKeyId(record.id()) || !known_kind || !known_state ||
      record.created_at() >= record.not_after()) {
    return Error(Code::kDataLoss, "the record of a signing key is damaged");
  }
  return Ok();
}

/// Self-signed. Its name tells it from its predecessors and from what it issues, for verifiers that
/// look for issuers by name alone.
Result<std::string> CaCertificate(const SigningKeyOptions& options,
                                  const SigningKeyRecord& record,
                                  const PrivateKey& key) {
  constexpr std::size_t kShownDigits = 16;
  CertificateContent content;
  content.common_name = "Credence authority " + record.id().substr(0, kShownDigits);
  content.uri = options.trust_domain.IdString();
  content.not_before = FromUnixSeconds(record.created_at()) - kBackdate;
  content.not_after = FromUnixSeconds(record.not_after());
  content.is_ca = true;
  return IssueCertificate(content, key.PublicKey(), key, "");
}

}  // namespace

Result<SigningKey> MakeSigningKey(const SigningKeyOptions& options,
                                  SigningKeyRecord::Kind kind,
                                  WallTime now) {
  const bool is_x509 = kind == SigningKeyRecord::X509;
  const seconds life = is_x509 ? options.x509_life : options.jwt_life;
  if (life < kShortestLife || life > kLongestLife) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("the life of {} keys is not from one minute to ten years", KindName(kind)));
  }
  auto key = PrivateKey::Generate(is_x509 ? options.x509_key_type : options.jwt_key_type);
  if (!key.ok()) {
    return std::move(key).error();
  }
  SigningKeyRecord record;
  record.set_id(SigningKeyId(key->PublicKey()));
  record.set_kind(kind);
  record.set_state(SigningKeyRecord::PREPARED);
  record.set_created_at(ToUnixSeconds(now));
  record.set_not_after(ToUnixSeconds(now + life));
  auto public_part =
      is_x509 ? CaCertificate(options, record, *key) : Result<std::string>(key->PublicKey());
  if (!public_part.ok()) {
    return std::move(public_part).error();
  }
  record.set_public_part(*std::move(public_part));
  if (auto written = WriteKeyFile(options.folder, record.id(), *key); !written.ok()) {
    return std::move(written).error();
  }
  return Assemble(std::move(record), *std::move(key));
}

Result<SigningKey> ReadSigningKey(const SigningKeyOptions& options,
                                  const SigningKeyRecord& record) {
  if (auto checked = CheckRecord(record); !checked.ok()) {
    return std::move(checked).error();
  }
  auto key = ReadKeyFile(options.folder, record.id());
  if (!key.ok()) {
    return std::move(key).error();
  }
  auto assembled = Assemble(record, *std::move(key));
  if (!assembled.ok()) {
    return Error(Code::kDataLoss,
                 fmt::format("the record of the signing key in {}: {}",
                             KeyFilePath(options.folder, record.id()),
                             assembled.error().message()));
  }
  return assembled;
}

std::string_view KindName(SigningKeyRecord::Kind kind) {
  return kind == SigningKeyRecord::X509 ? "X509" : "JWT";
}

}  // namespace credence
