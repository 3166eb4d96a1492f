#include "plugins/destinations/declarative/credential_maker.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "base/core/check.h"
#include "base/http/secret_buffer.h"

namespace credence {
namespace {

SharedSecret AsSecret(const NamedValue& value) {
  return value.secret != nullptr
             ? value.secret
             : std::make_shared<const SecretBytes>(SecretBytes::CopyOf(value.text));
}

SharedSecret RenderSecret(const TextTemplate& text, const NamedValues& values) {
  SecretBuffer out;
  Render(text, values, Escape::kNone, out);
  return std::make_shared<const SecretBytes>(out.Take());
}

std::chrono::seconds SecondsOf(const NamedValues& values, const std::string& name) {
  const auto value = values.find(name);
  CREDENCE_CHECK(value != values.end());
  std::int64_t number = 0;
  const std::string& text = value->second.text;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return std::chrono::seconds(number);
}

std::string_view FindText(const NamedValues& values, const std::string& name) {
  const auto value = values.find(name);
  return value == values.end() ? std::string_view() : std::string_view(value->second.text);
}

}  // namespace

Delivery MakeDelivery(const DeliverSpec& spec, const NamedValues& values) {
  Delivery delivery;
  NamedValues env_values = values;
  env_values["dir"].text = "{{dir}}";
  for (const auto& [name, text] : spec.env) {
    if (!Vanishes(text, env_values)) {
      delivery.env[name] = RenderSecret(text, env_values);
    }
  }
  // A variable that is set needs no removal.
  std::copy_if(
      spec.unset.begin(),
      spec.unset.end(),
      std::back_inserter(delivery.unset),
      [&](const std::string& name) { return delivery.env.find(name) == delivery.env.end(); });
  for (const FileSpec& file : spec.files) {
    if (!file.json.has_value() && Vanishes(file.text, values)) {
      continue;
    }
    SecretBuffer content;
    if (file.json.has_value()) {
      RenderJson(*file.json, values, content);
    } else {
      Render(file.text, values, Escape::kNone, content);
    }
    delivery.files.push_back(
        DeliveredFile{file.path, file.mode, std::make_shared<const SecretBytes>(content.Take())});
  }
  return delivery;
}

NamedValues FieldsOf(const Credential& credential, WallTime expires_at) {
  NamedValues values;
  for (const auto& [name, secret] : credential.fields) {
    values[name] = NamedValue{ValueType::kToken, "", secret};
  }
  values["expires_at_unix"] =
      NamedValue{ValueType::kInteger, std::to_string(ToUnixSeconds(expires_at)), nullptr};
  return values;
}

ExchangeOutcome MakeCredential(const AdapterFile& file,
                               const NamedValues& extracted,
                               WallTime asked_at,
                               std::string request_id) {
  ExchangeOutcome outcome;
  const std::chrono::seconds granted = SecondsOf(extracted, file.expiry.from);
  if (granted <= file.expiry.margin) {
    outcome.error.failure = ExchangeFailure::kBadResponse;
    outcome.error.message = "the credential expires too soon to be used";
    outcome.error.request_id = std::move(request_id);
    return outcome;
  }
  auto credential = std::make_shared<Credential>();
  credential->issued_at = asked_at;
  credential->expires_at = asked_at + std::min(granted - file.expiry.margin, file.expiry.cap);
  credential->primary_field = file.credential.primary;
  credential->accessor = FindText(extracted, file.credential.accessor);
  credential->renewable =
      file.renew.has_value() && FindText(extracted, file.credential.renewable) == "true";
  credential->request_id = std::move(request_id);
  for (const std::string& field : file.credential.fields) {
    const auto value = extracted.find(field);
    CREDENCE_CHECK(value != extracted.end());
    credential->fields[field] = AsSecret(value->second);
  }
  outcome.credential = std::move(credential);
  return outcome;
}

}  // namespace credence
