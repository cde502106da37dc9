# `make formula` fills in which sources: build/uni-wizard.rb is what brew takes.
class UniWizard < Formula
  desc "Self-hosted worker cluster over MQTT"
  url "@URL@"
  version "@VERSION@"
  sha256 "@SHA256@"

  depends_on "pkgconf" => :build
  depends_on "cjson"
  depends_on "libmicrohttpd"
  depends_on "libuv"
  depends_on "libyaml"
  depends_on "mosquitto"
  depends_on "openssl@3"
  depends_on "sqlite"

  def install
    system "make", "install", "PREFIX=#{prefix}"
  end

  # The agent of the one who starts it, from what `uni-wizard init` made; another name: brew services edit.
  service do
    run [opt_bin/"uni-wizard", "agent"]
    environment_variables UNI_WIZARD_AGENT: "timmy-1"
    keep_alive true
    throttle_interval 10
    log_path var/"log/uni-wizard.log"
    error_log_path var/"log/uni-wizard.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/uni-wizard --version")
    (testpath/"houses.yaml").write "houses: {timmy: }\n"
    system bin/"uni-wizard", "config", "check", testpath/"houses.yaml"
  end
end
