#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/core/task.h"
#include "base/svid/jwt_svid.h"

namespace credence {

/// What a failed exchange means for the agent. One vocabulary for every vendor.
enum class ExchangeFailure {
  /// Our configuration is malformed. Not retried.
  kBadRequest,
  /// The SVID was refused. Once more with a fresh one.
  kBadToken,
  /// exp, nbf or iat outside the vendor's window. Once more.
  kClockSkew,
  /// The jti is spent. Once more with a fresh SVID, never with the same bytes.
  kReplay,
  /// The vendor's rule says no. Not retried; remembered for a while.
  kPolicyDenied,
  /// The vendor merges the four above. Once more with a fresh SVID, then remembered.
  kOpaqueDenied,
  /// Retried after what the vendor asks for.
  kRateLimited,
  /// Away, broken or slow; the outcome may be unknown. Retried, bounded, each time with a fresh
  /// SVID.
  kUnavailable,
  /// The vendor's trust configuration is too new. Retried slowly.
  kPropagation,
  /// An answer we cannot use. Not retried.
  kBadResponse,
};

/// "BAD_REQUEST" and so on.
std::string_view ExchangeFailureName(ExchangeFailure failure);

struct ExchangeError {
  ExchangeFailure failure = ExchangeFailure::kUnavailable;
  /// For the operator and the caller: standard error fields of the answer, cut; never a body, never
  /// the SVID.
  std::string message;
  /// The vendor's id of the request, "" if none was given.
  std::string request_id;
  /// From Retry-After.
  std::optional<std::chrono::seconds> retry_after;
};

/// Settings of a destination and parameters of a request: names to plain text.
using Settings = std::map<std::string, std::string, std::less<>>;

/// A file that a delivery needs, relative to a private folder.
struct DeliveredFile {
  std::string path;
  mode_t mode = 0600;
  SharedSecret content;
};

/// How a command finds the credential.
struct Delivery {
  /// Environment variables to set. "{{dir}}" in a value stands for the private folder.
  std::map<std::string, SharedSecret> env;
  /// Environment variables that would shadow the credential and must go.
  std::vector<std::string> unset;
  std::vector<DeliveredFile> files;
};

/// A short-lived credential of a destination. Immutable, shared by those who get it.
struct Credential {
  /// By name, such as "access_token"; the adapter says which are there.
  std::map<std::string, SharedSecret> fields;
  /// The field that `credence get` prints on its own.
  std::string primary_field;
  WallTime issued_at;
  WallTime expires_at;
  /// Whether Renew may prolong it.
  bool renewable = false;
  /// Safe to write down and enough to find it at the vendor, such as a Vault token accessor; may be
  /// "".
  std::string accessor;
  std::string request_id;
};

using SharedCredential = std::shared_ptr<const Credential>;

/// A credential or one error class.
struct ExchangeOutcome {
  SharedCredential credential;
  /// Set when `credential` is null.
  ExchangeError error;
};

/// What the SVID for an exchange has to be.
struct SvidNeeds {
  std::vector<std::string> audience;
  std::size_t max_bytes = 16384;
  /// Longest exp - iat that the destination accepts.
  std::chrono::seconds max_lifetime{3600};
  /// Signature algorithms that the destination accepts, such as ES256; empty for any.
  std::vector<std::string> algorithms{};
  /// A token without `iss` is refused.
  bool issuer_required = false;
};

/// Where a destination is, for those who check the way to it.
struct DestinationAddress {
  /// "https://host[:port]"; "" if the adapter does not say.
  std::string origin;
  /// PEM file with the only roots trusted there; "" for those of the system.
  std::string ca_file;
};

/// One configured destination: an adapter with its settings. Stateless; calls may overlap.
class Destination {
 public:
  virtual ~Destination() = default;

  virtual const SvidNeeds& svid_needs() const = 0;

  /// Parameter names a request may carry. Others are refused before an SVID is fetched.
  virtual const std::vector<std::string>& parameters() const = 0;

  virtual DestinationAddress address() const { return {}; }

  /// Trades `svid`, which must be fresh and is used for this attempt only, for a credential. Never
  /// retries.
  virtual Task<ExchangeOutcome> Exchange(JwtSvid svid, Settings parameters, Deadline deadline) = 0;

  /// Prolongs a renewable credential; the outcome replaces it.
  virtual Task<ExchangeOutcome> Renew(SharedCredential credential, Deadline deadline) = 0;

  /// How a command finds `credential`, which is one of this destination, when it is handed out
  /// until `expires_at`. No I/O.
  virtual Delivery Deliver(const Credential& credential, WallTime expires_at) const = 0;

  /// Kills an issued credential at the vendor. Errors: kUnimplemented when the vendor has no such
  /// power.
  virtual Task<Result<void>> Revoke(SharedCredential credential, Deadline deadline) = 0;
};

/// What an operator may write for one setting of a destination.
struct SettingInfo {
  std::string name;
  bool required = false;
  std::optional<std::string> default_value;
  /// What a value has to be, in words.
  std::string expected;
  /// What has to be entered at the vendor depends on it, so it must be known before.
  bool in_setup = false;
  /// Few need to give it.
  bool rare = false;
};

/// What there is to tell a vendor about one workload.
struct SetupFacts {
  /// metadata.name of the destination.
  std::string destination;
  /// The SPIFFE ID and its trust domain.
  std::string subject;
  std::string trust_domain;
  /// The `iss` of the JWT-SVIDs.
  std::string issuer;
  /// The JWT keys of the trust domain as a JWK Set, the array in it, and the same keys in PEM,
  /// joined by commas. "" when they are not known.
  std::string jwks;
  std::string jwk_array;
  std::string keys_pem;
};

/// What an operator enters at the vendor so that it trusts a workload.
struct SetupText {
  std::vector<std::string> audience;
  /// Text and commands for a shell, to be read and pasted as they are.
  std::vector<std::string> lines;
};

/// A kind of destination: "anthropic", "openbao".
class DestinationAdapter {
 public:
  virtual ~DestinationAdapter() = default;

  virtual std::string_view name() const = 0;

  /// Checks settings and makes a destination. Errors: kInvalidArgument with all mistakes at once,
  /// one a line, each starting with the name of the setting: "address: expected an https URL".
  virtual Result<std::unique_ptr<Destination>> Configure(const Settings& settings) const = 0;

  /// In the order in which an operator is asked for them; empty if the adapter does not say.
  virtual std::vector<SettingInfo> settings() const { return {}; }

  /// What to enter at the vendor. Of `settings` only those marked in_setup matter. Errors:
  /// kInvalidArgument as Configure.
  virtual Result<SetupText> Setup(const Settings& /*settings*/, const SetupFacts& /*facts*/) const {
    return SetupText{};
  }
};

}  // namespace credence
