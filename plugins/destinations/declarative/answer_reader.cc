#include "plugins/destinations/declarative/answer_reader.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>
#include <utility>

#include <boost/algorithm/string/predicate.hpp>
#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::size_t kMaxTextBytes = 256;
constexpr std::size_t kMaxTokenBytes = 16384;
constexpr std::size_t kMaxRequestIdBytes = 128;
/// More than a year is no short-lived credential but a mistake.
constexpr std::int64_t kMaxSeconds = 31'622'400;

ExchangeError Failed(ExchangeFailure failure, std::string message) {
  ExchangeError error;
  error.failure = failure;
  error.message = std::move(message);
  return error;
}

std::string Describe(const ExtractSpec& spec) {
  return spec.source.json.empty() ? "header " + spec.source.header : spec.source.json;
}

bool AllIn(std::string_view text, char first, char last) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return c >= first && c <= last; });
}

bool IsPlainText(std::string_view text) {
  return text.size() <= kMaxTextBytes && AllIn(text, 0x20, 0x7e);
}

/// Nothing when the value does not have the type.
std::optional<NamedValue> FromText(std::string_view text, ValueType type) {
  NamedValue value;
  value.type = type;
  if (type == ValueType::kText && IsPlainText(text)) {
    value.text = text;
    return value;
  }
  if (type == ValueType::kToken && !text.empty() && text.size() <= kMaxTokenBytes &&
      AllIn(text, 0x21, 0x7e)) {
    value.secret = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
    return value;
  }
  return std::nullopt;
}

std::optional<NamedValue> FromJson(const boost::json::value& json, ValueType type) {
  NamedValue value;
  value.type = type;
  switch (type) {
    case ValueType::kText:
    case ValueType::kToken:
      if (const auto* text = json.if_string(); text != nullptr) {
        return FromText({text->data(), text->size()}, type);
      }
      return std::nullopt;
    case ValueType::kBoolean:
      if (const bool* flag = json.if_bool(); flag != nullptr) {
        value.text = *flag ? "true" : "false";
        return value;
      }
      return std::nullopt;
    case ValueType::kInteger:
    case ValueType::kSeconds: {
      const std::int64_t* number = json.if_int64();
      const bool fits = number != nullptr &&
                        (type == ValueType::kInteger || (*number > 0 && *number <= kMaxSeconds));
      if (!fits) {
        return std::nullopt;
      }
      value.text = std::to_string(*number);
      return value;
    }
    case ValueType::kPath:
      return std::nullopt;
  }
  return std::nullopt;
}

struct Extracted {
  bool present = false;
  std::optional<NamedValue> value;
};

Extracted Extract(const ExtractSpec& spec, const HttpResponse& response, const JsonAnswer& json) {
  if (!spec.source.json.empty()) {
    const boost::json::value* found = json.Find(spec.source.json);
    return found == nullptr ? Extracted{} : Extracted{true, FromJson(*found, spec.type)};
  }
  const std::string_view text = response.FindHeader(spec.source.header);
  return text.empty() ? Extracted{} : Extracted{true, FromText(text, spec.type)};
}

std::int64_t ToNumber(const NamedValue& value) {
  std::int64_t number = 0;
  std::from_chars(value.text.data(), value.text.data() + value.text.size(), number);
  return number;
}

/// "" when the value meets the condition.
std::string Unmet(const ExpectSpec& spec, const NamedValue& value) {
  const std::string_view text = value.Reveal();
  if (!text.starts_with(spec.prefix)) {
    return fmt::format("{} does not start with {}", spec.name, spec.prefix);
  }
  if (!spec.equals_ci.empty() && !boost::algorithm::iequals(text, spec.equals_ci)) {
    return fmt::format("{} is not {}", spec.name, spec.equals_ci);
  }
  if ((spec.min.has_value() && ToNumber(value) < *spec.min) ||
      (spec.max.has_value() && ToNumber(value) > *spec.max)) {
    return fmt::format("{} is out of bounds", spec.name);
  }
  return {};
}

/// "" on success.
std::string ExtractAll(const HttpStep& step,
                       const HttpResponse& response,
                       const JsonAnswer& json,
                       const Secrets& secrets,
                       NamedValues& values) {
  for (const ExtractSpec& spec : step.extract) {
    Extracted extracted = Extract(spec, response, json);
    if (!extracted.present && spec.optional) {
      continue;
    }
    if (!extracted.present) {
      return fmt::format("the answer has no {}", Describe(spec));
    }
    if (!extracted.value.has_value()) {
      return fmt::format("the answer has a {} of the wrong type or size", Describe(spec));
    }
    if (extracted.value->secret == nullptr && RevealsSecret(extracted.value->text, secrets)) {
      return fmt::format("the answer has a secret in {}", Describe(spec));
    }
    values[spec.name] = *std::move(extracted.value);
  }
  for (const ExpectSpec& spec : step.expect) {
    const auto value = values.find(spec.name);
    if (value == values.end()) {
      continue;
    }
    if (std::string unmet = Unmet(spec, value->second); !unmet.empty()) {
      return "in the answer " + unmet;
    }
  }
  return {};
}

std::string FindRequestId(const AdapterFile& file,
                          const HttpResponse& response,
                          const JsonAnswer* json,
                          const Secrets& secrets) {
  for (const AnswerSource& source : file.request_id) {
    std::string_view found;
    if (!source.header.empty()) {
      found = response.FindHeader(source.header);
    } else if (json != nullptr) {
      found = json->FindText(source.json);
    }
    if (!found.empty() && found.size() <= kMaxRequestIdBytes && AllIn(found, 0x21, 0x7e) &&
        !RevealsSecret(found, secrets)) {
      return std::string(found);
    }
  }
  return {};
}

bool InStatus(const ClassifyRule& rule, int status) {
  return std::any_of(rule.status.begin(), rule.status.end(), [&](const auto& range) {
    return status >= range.first && status <= range.second;
  });
}

bool Fits(const ClassifyRule& rule, int status, const JsonAnswer* json) {
  return InStatus(rule, status) &&
         std::all_of(rule.json.begin(), rule.json.end(), [&](const auto& condition) {
           return json != nullptr && json->FindText(condition.first) == condition.second;
         });
}

/// Whether the class says something about our request, rather than about the way to the vendor.
bool IsVerdict(ExchangeFailure failure) {
  switch (failure) {
    case ExchangeFailure::kBadRequest:
    case ExchangeFailure::kBadToken:
    case ExchangeFailure::kClockSkew:
    case ExchangeFailure::kReplay:
    case ExchangeFailure::kPolicyDenied:
    case ExchangeFailure::kOpaqueDenied:
      return true;
    case ExchangeFailure::kRateLimited:
    case ExchangeFailure::kUnavailable:
    case ExchangeFailure::kPropagation:
    case ExchangeFailure::kBadResponse:
      return false;
  }
  return false;
}

ExchangeFailure DefaultClass(int status) {
  if (status == 429) {
    return ExchangeFailure::kRateLimited;
  }
  return status >= 500 ? ExchangeFailure::kUnavailable : ExchangeFailure::kBadResponse;
}

ExchangeError Refusal(const AdapterFile& file,
                      const HttpResponse& response,
                      const JsonAnswer* json,
                      const Secrets& secrets,
                      WallTime now) {
  ExchangeError error;
  error.failure = ClassifyAnswer(file, response.status, json);
  const std::string fields = json == nullptr ? std::string() : ErrorFields(*json, secrets);
  error.message = fmt::format("HTTP {}", response.status);
  if (!fields.empty()) {
    error.message += ": " + fields;
  } else if (json == nullptr) {
    error.message += ", without a JSON answer";
  }
  error.retry_after = ParseRetryAfter(response.FindHeader("retry-after"), now);
  return error;
}

}  // namespace

ExchangeFailure ClassifyAnswer(const AdapterFile& file, int status, const JsonAnswer* json) {
  for (const ClassifyRule& rule : file.classify) {
    if (Fits(rule, status, json)) {
      return json == nullptr && IsVerdict(rule.failure) ? ExchangeFailure::kBadResponse
                                                        : rule.failure;
    }
  }
  return DefaultClass(status);
}

StepAnswer ReadAnswer(const AdapterFile& file,
                      const HttpStep& step,
                      const HttpResponse& response,
                      const Secrets& secrets,
                      WallTime now) {
  StepAnswer answer;
  const std::optional<JsonAnswer> json = JsonAnswer::Parse(response.body.Reveal());
  const JsonAnswer* known = json.has_value() ? &*json : nullptr;
  answer.request_id = FindRequestId(file, response, known, secrets);
  if (std::find(step.success.begin(), step.success.end(), response.status) == step.success.end()) {
    answer.error = Refusal(file, response, known, secrets, now);
  } else if (!step.extract.empty() && known == nullptr) {
    answer.error = Failed(ExchangeFailure::kBadResponse, "the answer is not a JSON object");
  } else if (!step.extract.empty()) {
    std::string problem = ExtractAll(step, response, *known, secrets, answer.values);
    if (!problem.empty()) {
      answer.error = Failed(ExchangeFailure::kBadResponse, std::move(problem));
    }
  }
  if (answer.error.has_value()) {
    answer.error->request_id = answer.request_id;
    answer.values.clear();
  }
  return answer;
}

StepAnswer ReadFailure(const AdapterFile& file, const Error& error, RequestFate fate) {
  ExchangeFailure failure = ExchangeFailure::kUnavailable;
  if (error.code() == Code::kDataLoss || error.code() == Code::kOutOfRange) {
    failure = ExchangeFailure::kBadResponse;
  } else if (error.code() == Code::kInvalidArgument) {
    failure = ExchangeFailure::kBadRequest;
  } else {
    const auto rule = std::find_if(file.classify.begin(),
                                   file.classify.end(),
                                   [](const ClassifyRule& candidate) { return candidate.network; });
    failure = rule == file.classify.end() ? ExchangeFailure::kUnavailable : rule->failure;
  }
  StepAnswer answer;
  answer.error = Failed(failure, error.message());
  if (fate == RequestFate::kSent) {
    answer.error->message += "; whether the request was carried out is unknown";
  }
  return answer;
}

}  // namespace credence
