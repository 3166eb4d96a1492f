#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/config/resources.h"
#include "agent/exchange/audit_event.h"
#include "agent/exchange/fresh_jwt_source.h"
#include "base/core/clock.h"
#include "base/core/latch.h"
#include "base/core/task.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

inline ExchangeOutcome FakeFailure(ExchangeFailure failure) {
  ExchangeOutcome outcome;
  outcome.error.failure = failure;
  outcome.error.message = "the vendor says so";
  outcome.error.request_id = "req-failed";
  return outcome;
}

/// A vendor that answers as told: each call takes the next of `answers`, and a credential once they
/// are used up.
class FakeDestination final : public Destination {
 public:
  const SvidNeeds& svid_needs() const override { return needs; }
  const std::vector<std::string>& parameters() const override { return names; }

  Task<ExchangeOutcome> Exchange(JwtSvid svid, Settings parameters, Deadline deadline) override {
    ++exchanges;
    tokens.push_back(std::string(svid.token->Reveal()));
    last_parameters = std::move(parameters);
    given.push_back(deadline.Remaining());
    return Answer(deadline);
  }
  Task<ExchangeOutcome> Renew(SharedCredential credential, Deadline deadline) override {
    ++renewals;
    last_renewed = std::move(credential);
    return Answer(deadline);
  }
  Delivery Deliver(const Credential& credential, WallTime expires_at) const override {
    Delivery delivery;
    delivery.env["TOKEN"] = credential.fields.at("token");
    delivery.files.push_back(
        {"until",
         0600,
         std::make_shared<const SecretBytes>(SecretBytes::CopyOf(FormatRfc3339(expires_at)))});
    return delivery;
  }
  Task<Result<void>> Revoke(SharedCredential credential, Deadline deadline) override {
    revoked.push_back(std::string(credential->fields.at("token")->Reveal()));
    if (hangs) {
      co_await SleepUntil(deadline);
    }
    if (next_revoke_answer < revoke_answers.size()) {
      co_return revoke_answers[next_revoke_answer++];
    }
    co_return Ok();
  }

  /// A credential that lives for `life` from now.
  ExchangeOutcome NewCredential() {
    auto credential = std::make_shared<Credential>();
    const std::string secret = fmt::format("secret-{}", exchanges + renewals);
    credential->fields["token"] = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(secret));
    credential->primary_field = "token";
    credential->issued_at = clock->Now() - took;
    credential->expires_at = credential->issued_at + life;
    credential->renewable = renewable;
    credential->accessor = renewable ? "accessor" : "";
    credential->request_id = fmt::format("req-{}", exchanges + renewals);
    ExchangeOutcome outcome;
    outcome.credential = std::move(credential);
    return outcome;
  }

  SvidNeeds needs{
      .audience = {"vendor"}, .max_bytes = 100, .max_lifetime = std::chrono::seconds(300)};
  std::vector<std::string> names = {"role"};
  const Clock* clock = nullptr;
  std::chrono::milliseconds life{600'000};
  /// How long ago credentials were asked for when they come; their life counts from then.
  std::chrono::milliseconds took{0};
  std::chrono::milliseconds delay{0};
  bool hangs = false;
  bool renewable = false;
  std::vector<ExchangeOutcome> answers;
  std::size_t next_answer = 0;
  /// As `answers`, for revocations.
  std::vector<Result<void>> revoke_answers;
  std::size_t next_revoke_answer = 0;
  /// Called when a call arrives.
  std::function<void()> on_call;

  int exchanges = 0;
  int renewals = 0;
  int running = 0;
  int most_running = 0;
  std::vector<std::string> tokens;
  Settings last_parameters;
  /// How much time each exchange got.
  std::vector<std::chrono::nanoseconds> given;
  SharedCredential last_renewed;
  std::vector<std::string> revoked;

 private:
  /// Counts calls under way, also when one is cancelled.
  class Call {
   public:
    explicit Call(FakeDestination& owner) : owner_(owner) {
      owner_.most_running = std::max(owner_.most_running, ++owner_.running);
    }
    ~Call() { --owner_.running; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    FakeDestination& owner_;
  };

  Task<ExchangeOutcome> Answer(Deadline deadline) {
    const Call call(*this);
    if (on_call) {
      on_call();
    }
    if (hangs) {
      co_await SleepUntil(deadline);
      co_return FakeFailure(ExchangeFailure::kUnavailable);
    }
    if (delay.count() > 0) {
      co_await Sleep(delay);
    }
    if (next_answer < answers.size()) {
      co_return answers[next_answer++];
    }
    co_return NewCredential();
  }
};

/// Signs tokens "jwt-1", "jwt-2" and so on.
class FakeJwtSource final : public FreshJwtSource {
 public:
  explicit FakeJwtSource(const Clock& clock) : clock_(clock) {}

  Task<Result<JwtSvid>> FetchFresh(std::string entry_id,
                                   SpiffeId id,
                                   std::vector<std::string> audience,
                                   Deadline deadline) override {
    static_cast<void>(deadline);
    ++fetches;
    last_entry_id = std::move(entry_id);
    if (on_fetch) {
      on_fetch();
    }
    if (error) {
      co_return *error;
    }
    if (repeats > 0) {
      --repeats;
    } else {
      ++number_;
    }
    JwtSvid svid{.id = std::move(id)};
    svid.audience = std::move(audience);
    svid.issued_at = clock_.Now();
    svid.expires_at = svid.issued_at + life;
    svid.jti = with_jti ? fmt::format("jti-{}", number_) : "";
    svid.token = std::make_shared<const SecretBytes>(
        SecretBytes::CopyOf(fmt::format("jwt-{}{}", number_, padding)));
    co_return svid;
  }

  bool Holds(const std::string& /*entry_id*/, const SpiffeId& /*id*/) const override {
    return held;
  }

  int fetches = 0;
  std::string last_entry_id;
  bool held = true;
  /// Called when a token is asked for.
  std::function<void()> on_fetch;
  std::optional<Error> error;
  /// How many of the next tokens are the same bytes as the one before.
  int repeats = 0;
  bool with_jti = false;
  std::string padding;
  std::chrono::seconds life{300};

 private:
  const Clock& clock_;
  int number_ = 0;
};

/// Keeps events in memory, or fails.
class FakeAudit final : public AuditSink {
 public:
  Task<Result<void>> Write(AuditEvent event) override {
    if (error && (!failing_kind || *failing_kind == event.kind)) {
      co_return *error;
    }
    const std::shared_ptr<Latch> latch = slow;
    if (latch && event.kind == AuditKind::kDecision) {
      co_await latch->Wait(Deadline::After(std::chrono::seconds(10)));
    }
    events.push_back(std::move(event));
    if (on_write) {
      on_write();
    }
    co_return Ok();
  }

  std::vector<AuditEvent> OfKind(AuditKind kind) const {
    std::vector<AuditEvent> found;
    for (const AuditEvent& event : events) {
      if (event.kind == kind) {
        found.push_back(event);
      }
    }
    return found;
  }

  std::optional<Error> error;
  /// Only events of this kind fail.
  std::optional<AuditKind> failing_kind;
  std::vector<AuditEvent> events;
  std::function<void()> on_write;
  /// Decisions wait until it is set.
  std::shared_ptr<Latch> slow;
};

inline DestinationResource FakeDestinationResource(const std::string& name,
                                                   std::shared_ptr<Destination> target) {
  DestinationResource resource;
  resource.name = name;
  resource.adapter = "fake";
  resource.target = std::move(target);
  return resource;
}

inline GrantResource FakeGrant(const std::string& name,
                               const std::string& id,
                               const std::string& destination) {
  GrantResource grant{.name = name, .spiffe_id = *SpiffeId::Parse(id)};
  grant.destination = destination;
  grant.deliver = {DeliveryForm::kApi};
  return grant;
}

}  // namespace credence
