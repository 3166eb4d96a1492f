#include "plugins/destinations/declarative/declarative_adapter.h"

#include <string>
#include <utility>
#include <vector>

#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/declarative_destination.h"
#include "plugins/destinations/declarative/setting_values.h"
#include "plugins/destinations/declarative/setup_section.h"

namespace credence {
namespace {

class DeclarativeAdapter final : public DestinationAdapter {
 public:
  DeclarativeAdapter(AdapterFile file, HttpClient& client, const Clock& clock)
      : file_(std::make_shared<const AdapterFile>(std::move(file))),
        client_(client),
        clock_(clock) {}

  std::string_view name() const override { return file_->name; }

  Result<std::unique_ptr<Destination>> Configure(const Settings& settings) const override {
    auto checked = CheckValues(file_->settings, settings, "setting");
    if (!checked.ok()) {
      return std::move(checked).error();
    }
    return std::unique_ptr<Destination>(
        std::make_unique<DeclarativeDestination>(file_, *std::move(checked), client_, clock_));
  }

  std::vector<SettingInfo> settings() const override { return DescribeSettings(*file_); }

  Result<SetupText> Setup(const Settings& settings, const SetupFacts& facts) const override {
    return MakeSetupText(*file_, settings, facts);
  }

 private:
  std::shared_ptr<const AdapterFile> file_;
  HttpClient& client_;
  const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<DestinationAdapter>> MakeDeclarativeAdapter(std::string_view yaml,
                                                                   std::string_view file,
                                                                   HttpClient& client,
                                                                   const Clock& clock) {
  auto parsed = ParseAdapterFile(yaml, file);
  if (!parsed.ok()) {
    return std::move(parsed).error();
  }
  return std::unique_ptr<DestinationAdapter>(
      std::make_unique<DeclarativeAdapter>(*std::move(parsed), client, clock));
}

}  // namespace credence
