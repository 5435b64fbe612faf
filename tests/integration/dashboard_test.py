#!/usr/bin/env python3
"""The dashboard of a real cluster, seen with a real browser: headless Chromium, driven by Selenium.

Usage: dashboard_test.py PROGRAM [unittest options]
Screenshots go to $EDDL_SCREENSHOTS, or to screenshots/ below the working folder. SKIP (77) without Chromium and driver.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

import cluster_case

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
except ImportError:
    webdriver = None

WAIT_SECONDS = 60
DESKTOP, PHONE = (1280, 1500), (390, 2900)
# Emulated: samples/s.
SPEEDS = {"media-center": 1500, "laptop": 900, "board": 300, "phone": 150}


def missing():
    if webdriver is None:
        return "python3-selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def open_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--force-color-profile=srgb", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


def screenshot(browser, name):
    folder = pathlib.Path(os.environ.get("EDDL_SCREENSHOTS", "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(folder / f"{name}.png"))


class DashboardTest(cluster_case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.browser = open_browser()
        self.addCleanup(self.browser.quit)

    def start_cluster(self, names=tuple(SPEEDS)):
        self.write_job(epochs=1000)
        self.manager = self.manage("--dashboard", "127.0.0.1:0")
        self.url = "http://" + self.manager.json()[0]["dashboard"]
        self.operator = (self.folder / "run/authority/operator_token").read_text().strip()
        self.nodes = {name: self.join(name, pace=1 / SPEEDS[name]) for name in names}
        self.wait_for("all devices", lambda s: sum(m["state"] == "working" for m in s["members"]) == len(names))

    # What the page shows.

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def until(self, what, condition, seconds=WAIT_SECONDS):
        """How long it took until the condition, of the page, held."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            value = condition()
            if value:
                return time.monotonic() - begin
            time.sleep(0.05)
        self.fail(f"waited in vain for {what}; the page says:\n{self.text('body')[:3000]}\n{self.browser.get_log('browser')}")

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0]).innerText", selector)

    def row(self, name):
        return self.script("""return [...document.querySelectorAll('#rows tr')].find(
            (row) => row.cells[0].innerText.includes(arguments[0]))?.innerText || ''""", name)

    def button(self, name, label):
        return self.browser.find_element(By.XPATH, f"//tbody[@id='rows']//button[@aria-label='{label} {name}']")

    def state_of(self, name):
        return next((member["state"] for member in self.status()["members"] if member["name"] == name), None)

    def points(self, chart):
        """The finite values of each series."""
        return self.script("""return Object.fromEntries(charts[arguments[0]].data.datasets.map(
            (set) => [set.label, set.data.filter((point) => Number.isFinite(point.y) && point.y > 0).length]))""", chart)

    def open_page(self):
        self.browser.set_window_size(*DESKTOP)
        self.browser.get(self.url)
        self.until("figures", lambda: self.script("return state !== null && history_ !== null"))

    def errors(self):
        return [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]

    def screenshot(self, name):
        screenshot(self.browser, name)

    # Tests.

    def test_a_page_tells_what_happens_and_acts_for_who_has_the_token(self):
        self.start_cluster()
        self.open_page()
        self.until("charts", lambda: min(self.points("throughput").get(name, 0) for name in SPEEDS) > 3
                   and self.points("learning")["loss"] > 3 and self.points("learning")["accuracy"] > 3)
        self.assertEqual(self.text("#live"), "live")
        self.until("leaders", lambda: "%" in self.text("#leaders"))
        self.until("candidates", lambda: "in force" in self.text("#candidates"))
        self.until("the machines' figures", lambda: "↑" in self.row("laptop"))
        self.assertIn("joined", self.text("#events"))
        self.look("cluster")
        self.why_opens()
        self.killed_device_is_shown()
        self.acting_needs_the_token()
        # But for the refusal, which browsers log.
        self.assertEqual([entry for entry in self.errors() if "403" not in entry["message"]], [])
        self.late_visitor_sees_all()

    def look(self, name):
        """Screenshots in both widths and both schemes; nothing sticks out."""
        for scheme in ("light", "dark"):
            self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                         {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            for device, (width, height) in (("desktop", DESKTOP), ("phone", PHONE)):
                self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                    "width": width, "height": height, "deviceScaleFactor": 1, "mobile": device == "phone"})
                time.sleep(1.5)  # for the next state, and the charts' new size
                self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), width, device)
                self.screenshot(f"{name}-{device}-{scheme}")
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def why_opens(self):
        button = self.button("board", "Why?")
        button.click()
        self.until("why", lambda: self.script("return document.getElementById('why').open"))
        for words in ("board", "samples/s at most", "its time", "the plan"):
            self.assertIn(words, self.text("#why"))
        self.screenshot("why")
        self.browser.switch_to.active_element.send_keys("\ue00c")  # Escape
        self.until("closed", lambda: not self.script("return document.getElementById('why').open"))
        # Where the keyboard was.
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("aria-label"), "Why? board")

    def killed_device_is_shown(self):
        self.nodes["phone"].send(signal.SIGKILL)
        took = self.until("the death of a device", lambda: "gone" in self.row("phone"))
        print(f"a killed device was shown after {took:.2f} s", file=sys.stderr)
        self.assertLess(took, 3)
        self.until("the event", lambda: "fenced" in self.text("#events"))

    def confirm(self, token):
        self.until("the question", lambda: self.script("return document.getElementById('confirm').open"))
        field = self.browser.find_element(By.ID, "token")
        field.clear()
        field.send_keys(token)
        self.browser.find_element(By.ID, "confirm-yes").click()

    def acting_needs_the_token(self):
        self.button("laptop", "Drain").click()
        self.confirm("0" * 32)
        self.until("a refusal", lambda: "wrong token" in self.text("#confirm-error"))
        self.assertEqual(self.state_of("laptop"), "working")
        self.screenshot("refused")
        self.confirm(self.operator)
        self.until("the dialog to close", lambda: not self.script("return document.getElementById('confirm').open"))
        self.assertEqual(self.nodes["laptop"].wait(), 0, "".join(self.nodes["laptop"].err))
        self.until("the drained device", lambda: "gone" in self.row("laptop"))
        self.button("board", "Pause").click()
        self.confirm(self.operator)
        self.until("a pause", lambda: "paused by the operator" in self.row("board"))
        self.button("board", "Let go on").click()
        self.confirm(self.operator)
        self.until("the end of the pause", lambda: "working" in self.row("board"))

    def late_visitor_sees_all(self):
        frames = self.script("return history_.frames")
        self.open_page()
        self.assertGreaterEqual(self.script("return history_.frames"), frames)
        for words in ("joined", "fenced", "left"):
            self.assertIn(words, self.text("#events"))
        # The end, told by the page itself.
        self.browser.find_element(By.ID, "stop").click()
        self.confirm(self.operator)
        self.assertEqual(self.manager.wait(), 0, "".join(self.manager.err[-20:]))
        self.until("the end", lambda: self.text("#live") in ("no answer", "over"))

    def request(self, path, headers=None, body=None):
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def test_strangers_and_other_pages_can_not_act_or_read(self):
        self.start_cluster(names=("laptop",))
        good = {"Authorization": "Bearer " + self.operator}
        drain = json.dumps({"node": 1}).encode()
        for headers, why in (({}, "token is needed"), ({"Authorization": "Bearer x"}, "wrong token"),
                             ({"Authorization": "Basic " + self.operator}, "token is needed"),
                             ({"Authorization": "Bearer " + self.operator[:-1]}, "wrong token"),
                             ({**good, "Origin": "http://evil.example"}, "does not come from this dashboard"),
                             ({**good, "Host": "evil.example"}, "by its address")):
            code, text, _ = self.request("/api/drain", headers, drain)
            self.assertEqual(code, 403, text)
            self.assertIn(why, text)
        self.assertEqual(self.request("/api/state", {"Host": "evil.example:80"})[0], 403)
        for body in (b"", b"[]", b"{}", b'{"node": -1}', b'{"node": "1"}', b'{"node": 1e99}', b"\xff" * 100):
            self.assertEqual(self.request("/api/drain", good, body)[0], 400, body)
        self.assertEqual(self.request("/api/drain", good, b'{"node": 77}')[0], 404)
        self.assertEqual(self.request("/api/pause", good, b'{"node": 1, "pause": 3}')[0], 400)
        self.assertIn(self.request("/api/drain", good, b"[" * 100000)[0], (400, 413))
        self.assertEqual(self.request("/api/why?node=77")[0], 404)
        self.assertEqual(self.request("/api/device?node=x")[0], 400)
        self.assertEqual(self.request("/../job.toml")[0], 404)
        code, _, headers = self.request("/")
        self.assertEqual(code, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual(self.state_of("laptop"), "working")
        # The token's file is its owner's alone.
        self.assertEqual((self.folder / "run/authority/operator_token").stat().st_mode & 0o077, 0)

    def test_a_port_that_is_taken_is_told(self):
        self.start_cluster(names=())
        answer = self.ask("manage", self.job, "--listen", "127.0.0.1:0", "--set", f"run.dir={self.folder / 'other'}",
                          "--dashboard", self.url[len("http://"):])
        self.assertEqual(answer.returncode, 8, answer.stderr)
        self.assertIn("the dashboard can't listen", answer.stderr)


def load_tests(loader, _tests, _pattern):
    """Not those of the class that it is made from."""
    suite = unittest.TestSuite()
    suite.addTests(DashboardTest(name) for name in loader.getTestCaseNames(DashboardTest) if name in vars(DashboardTest))
    return suite


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    if missing():
        print(f"SKIP: {missing()}", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
