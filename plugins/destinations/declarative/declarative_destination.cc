#include "plugins/destinations/declarative/declarative_destination.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/core/check.h"
#include "base/http/secret_buffer.h"
#include "plugins/destinations/declarative/credential_maker.h"

namespace credence {
namespace {

ExchangeOutcome Refused(ExchangeFailure failure, std::string message) {
  ExchangeOutcome outcome;
  outcome.error.failure = failure;
  outcome.error.message = std::move(message);
  return outcome;
}

/// "" if the SVID is what the destination needs.
std::string SvidProblem(const JwtSvid& svid, const SvidNeeds& needs) {
  if (svid.token == nullptr || svid.token->empty()) {
    return "the JWT-SVID is empty";
  }
  if (svid.token->size() > needs.max_bytes) {
    return fmt::format("the JWT-SVID has {} bytes, the destination takes at most {}",
                       svid.token->size(),
                       needs.max_bytes);
  }
  if (svid.expires_at - svid.issued_at > needs.max_lifetime) {
    return fmt::format("the JWT-SVID lives longer than the {} seconds that the destination takes",
                       needs.max_lifetime.count());
  }
  const bool audience_fits =
      std::all_of(needs.audience.begin(), needs.audience.end(), [&](const std::string& wanted) {
        return std::find(svid.audience.begin(), svid.audience.end(), wanted) != svid.audience.end();
      });
  return audience_fits ? "" : "the JWT-SVID is for another audience";
}

Code CodeOf(ExchangeFailure failure) {
  switch (failure) {
    case ExchangeFailure::kBadRequest:
      return Code::kInvalidArgument;
    case ExchangeFailure::kBadToken:
    case ExchangeFailure::kClockSkew:
    case ExchangeFailure::kReplay:
      return Code::kUnauthenticated;
    case ExchangeFailure::kPolicyDenied:
    case ExchangeFailure::kOpaqueDenied:
      return Code::kPermissionDenied;
    case ExchangeFailure::kRateLimited:
      return Code::kResourceExhausted;
    case ExchangeFailure::kUnavailable:
    case ExchangeFailure::kPropagation:
      return Code::kUnavailable;
    case ExchangeFailure::kBadResponse:
      return Code::kDataLoss;
  }
  return Code::kInternal;
}

Secrets SecretsOf(const Credential& credential) {
  Secrets secrets;
  for (const auto& [name, secret] : credential.fields) {
    secrets.push_back(secret);
  }
  return secrets;
}

}  // namespace

DeclarativeDestination::DeclarativeDestination(std::shared_ptr<const AdapterFile> file,
                                               CheckedValues settings,
                                               HttpClient& client,
                                               const Clock& clock)
    : file_(std::move(file)), settings_(std::move(settings)), client_(client), clock_(clock) {
  CREDENCE_CHECK(settings_.base_url.has_value());
  for (const TextTemplate& audience : file_->audience) {
    if (!Vanishes(audience, settings_.values)) {
      needs_.audience.push_back(RenderPlain(audience, settings_.values, Escape::kNone));
    }
  }
  needs_.max_bytes = file_->max_svid_bytes;
  needs_.max_lifetime = file_->max_svid_lifetime;
  needs_.algorithms = file_->svid_algorithms;
  needs_.issuer_required = file_->svid_issuer_required;
  for (const SettingSpec& param : file_->params) {
    parameters_.push_back(param.name);
  }
}

DestinationAddress DeclarativeDestination::address() const {
  return DestinationAddress{settings_.base_url->Origin(), settings_.ca_file};
}

NamedValues DeclarativeDestination::ValuesFor(const Credential& credential,
                                              WallTime expires_at) const {
  NamedValues values = FieldsOf(credential, expires_at);
  values.insert(settings_.values.begin(), settings_.values.end());
  return values;
}

Delivery DeclarativeDestination::Deliver(const Credential& credential, WallTime expires_at) const {
  return MakeDelivery(file_->deliver, ValuesFor(credential, expires_at));
}

HttpRequest DeclarativeDestination::MakeRequest(const HttpStep& step,
                                                const NamedValues& values) const {
  HttpRequest request;
  request.method = step.method;
  request.url = *settings_.base_url;
  if (request.url.target == "/") {
    request.url.target.clear();
  }
  request.url.target += RenderPlain(step.path, values, Escape::kUrlPath);
  request.ca_file = settings_.ca_file;
  request.headers.push_back(PlainHeader("Accept", "application/json"));
  for (const auto& [name, text] : step.headers) {
    if (!Vanishes(text, values)) {
      SecretBuffer value;
      Render(text, values, Escape::kNone, value);
      request.headers.push_back(
          HttpHeader{name, std::make_shared<const SecretBytes>(value.Take())});
    }
  }
  if (step.json.has_value()) {
    request.headers.push_back(PlainHeader("Content-Type", "application/json"));
    SecretBuffer body(4096);
    RenderJson(*step.json, values, body);
    request.body = body.Take();
  }
  return request;
}

Task<StepAnswer> DeclarativeDestination::Run(const HttpStep& step,
                                             NamedValues values,
                                             Secrets secrets,
                                             Deadline deadline) {
  HttpRequest request = MakeRequest(step, values);
  HttpOutcome outcome = co_await client_.Send(std::move(request), deadline);
  if (!outcome.response.ok()) {
    co_return ReadFailure(*file_, outcome.response.error(), outcome.fate);
  }
  co_return ReadAnswer(*file_, step, *outcome.response, secrets, clock_.Now());
}

Task<ExchangeOutcome> DeclarativeDestination::Exchange(JwtSvid svid,
                                                       Settings parameters,
                                                       Deadline deadline) {
  if (std::string problem = SvidProblem(svid, needs_); !problem.empty()) {
    co_return Refused(ExchangeFailure::kBadRequest, std::move(problem));
  }
  auto checked = CheckValues(file_->params, parameters, "parameter");
  if (!checked.ok()) {
    co_return Refused(ExchangeFailure::kBadRequest,
                      fmt::format("wrong parameters: {}", checked.error().message()));
  }
  NamedValues values = settings_.values;
  values.merge(checked->values);
  values["svid"] = NamedValue{ValueType::kToken, "", svid.token};
  Secrets secrets;
  secrets.push_back(svid.token);
  NamedValues extracted;
  std::string request_id;
  const WallTime asked_at = clock_.Now();
  for (const HttpStep& step : file_->steps) {
    StepAnswer answer = co_await Run(step, values, secrets, deadline);
    if (answer.error.has_value()) {
      ExchangeOutcome failed;
      failed.error = *std::move(answer.error);
      co_return failed;
    }
    for (const auto& [name, value] : answer.values) {
      values.insert_or_assign(name, value);
      extracted.insert_or_assign(name, value);
      if (value.secret != nullptr) {
        secrets.push_back(value.secret);
      }
    }
    request_id = std::move(answer.request_id);
  }
  co_return MakeCredential(*file_, extracted, asked_at, std::move(request_id));
}

Task<ExchangeOutcome> DeclarativeDestination::Renew(SharedCredential credential,
                                                    Deadline deadline) {
  if (!file_->renew.has_value() || !credential->renewable) {
    co_return Refused(ExchangeFailure::kBadRequest, "this credential cannot be renewed");
  }
  NamedValues values = ValuesFor(*credential, credential->expires_at);
  const WallTime asked_at = clock_.Now();
  StepAnswer answer =
      co_await Run(*file_->renew, std::move(values), SecretsOf(*credential), deadline);
  if (answer.error.has_value()) {
    ExchangeOutcome failed;
    failed.error = *std::move(answer.error);
    co_return failed;
  }
  // What the renewal does not say stays as it was.
  NamedValues extracted = std::move(answer.values);
  extracted.merge(FieldsOf(*credential, credential->expires_at));
  if (!file_->credential.accessor.empty()) {
    extracted.try_emplace(file_->credential.accessor,
                          NamedValue{ValueType::kText, credential->accessor, nullptr});
  }
  co_return MakeCredential(*file_, extracted, asked_at, std::move(answer.request_id));
}

Task<Result<void>> DeclarativeDestination::Revoke(SharedCredential credential, Deadline deadline) {
  if (!file_->revoke.has_value()) {
    co_return Error(Code::kUnimplemented,
                    fmt::format("{} cannot revoke an issued credential", file_->name));
  }
  NamedValues values = ValuesFor(*credential, credential->expires_at);
  StepAnswer answer =
      co_await Run(*file_->revoke, std::move(values), SecretsOf(*credential), deadline);
  if (answer.error.has_value()) {
    co_return Error(CodeOf(answer.error->failure), std::move(answer.error->message));
  }
  co_return Ok();
}

}  // namespace credence
