#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/check.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/answer_reader.h"
#include "plugins/destinations/declarative/credential_maker.h"
#include "plugins/destinations/embedded_adapters.h"

namespace {

constexpr std::string_view kSvid = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";

void ReadWith(const credence::AdapterFile& file, const credence::HttpResponse& response) {
  const credence::Secrets secrets = {
      std::make_shared<const credence::SecretBytes>(credence::SecretBytes::CopyOf(kSvid))};
  const credence::WallTime now = credence::FromUnixSeconds(1'790'000'000);
  credence::StepAnswer answer =
      credence::ReadAnswer(file, file.steps.at(0), response, secrets, now);
  if (answer.error.has_value()) {
    CREDENCE_CHECK(!credence::RevealsSecret(answer.error->message, secrets));
    CREDENCE_CHECK(!credence::RevealsSecret(answer.error->request_id, secrets));
    CREDENCE_CHECK(answer.error->message.size() < 512);
    return;
  }
  const credence::ExchangeOutcome outcome = credence::MakeCredential(file, answer.values, now, "");
  if (outcome.credential == nullptr) {
    return;
  }
  CREDENCE_CHECK(outcome.credential->expires_at > now);
  credence::NamedValues values =
      credence::FieldsOf(*outcome.credential, outcome.credential->expires_at);
  for (const credence::SettingSpec& spec : file.settings) {
    values[spec.name].text = "x";
  }
  CREDENCE_CHECK(!credence::MakeDelivery(file.deliver, values).env.empty());
}

}  // namespace

/// The first two bytes choose the status, the third the length of a header value, the rest is the
/// body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto* const anthropic =
      new auto(credence::ParseAdapterFile(credence::kAnthropicAdapter, "anthropic").value());
  static const auto* const openbao =
      new auto(credence::ParseAdapterFile(credence::kOpenbaoAdapter, "openbao").value());
  if (size < 3) {
    return 0;
  }
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  credence::HttpResponse response;
  response.status = data[0] == 0 ? 200 : 100 + (data[0] * 256 + data[1]) % 500;
  const std::size_t header = data[2] % 64;
  response.headers.emplace_back("request-id", text.substr(3, header));
  response.headers.emplace_back("retry-after", text.substr(3, header));
  response.body = credence::SecretBytes::CopyOf(text.substr(3));
  ReadWith(*anthropic, response);
  ReadWith(*openbao, response);
  return 0;
}
