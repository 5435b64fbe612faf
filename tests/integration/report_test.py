#!/usr/bin/env python3
"""Reports on real runs, of one device and of many: their figures, and their page, which needs nothing from elsewhere.

Usage: report_test.py PROGRAM [unittest options]
The page is opened with a real browser where there is one; else that test is skipped.
"""
import json
import re
import signal
import subprocess
import sys
import unittest

import cluster_case
import dashboard_test


class ReportTest(cluster_case.ClusterCase):
    def report(self, folder, *options):
        answer = self.ask("report", folder, "--format", "json", *options)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return json.loads((folder / "report.json").read_text())

    def run_cluster(self):
        """A run in which a device is lost; the manager writes its report at the end."""
        self.write_job(epochs=8)
        manager = self.manage("--dashboard", "127.0.0.1:0")
        nodes = {name: self.join(name) for name in ("a", "b", "</script><b>c")}
        self.wait_for("three nodes", lambda s: sum(m["state"] == "working" for m in s["members"]) == 3)
        self.wait_for_samples(2000)
        nodes["b"].send(signal.SIGKILL)
        self.finished(manager, epochs=8)
        return self.folder / "run"

    def test_a_clusters_report_tells_who_did_what(self):
        folder = self.run_cluster()
        report = json.loads((folder / "report.json").read_text())
        self.assertEqual((report["run"]["status"], report["notes"], len(report["epochs"])), ("finished", [], 8))
        devices = report["devices"]
        self.assertEqual(len(devices), 3)
        self.assertGreaterEqual(sum(device["samples"] for device in devices), 8 * cluster_case.TRAIN_SAMPLES)
        self.assertAlmostEqual(sum(device["share"] for device in devices), 1)
        for device in devices:
            self.assertAlmostEqual(sum(device["time"].values()), 1)
            self.assertGreater(device["compute_seconds"], 0)
        kinds = {event["kind"] for event in report["history"]["events"]}
        self.assertTrue({"joined", "fenced", "plan"} <= kinds, kinds)
        self.assertTrue(report["plans"])
        evaluation = report["evaluation"]
        self.assertEqual(sum(map(sum, evaluation["confusion"])), evaluation["samples"])
        self.assertAlmostEqual(evaluation["accuracy"], report["summary"]["test_accuracy"], places=2)
        html = (folder / "report.html").read_text()
        self.assertEqual(html.count("</script>"), 5)  # four scripts and the data: no name ends an element
        self.assertEqual(re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=", html), [])
        # On demand, the same.
        again = self.report(folder)
        self.assertEqual(again["summary"], report["summary"])
        self.assertEqual(again["evaluation"]["confusion"], evaluation["confusion"])
        self.assertIsNone(self.report(folder, "--no-evaluation")["evaluation"])

    def test_one_devices_run_has_a_report_too(self):
        folder = self.folder / "alone"
        subprocess.run([cluster_case.PROGRAM, "train", self.job, "--set", f"run.dir={folder}"], check=True,
                       capture_output=True)
        report = self.report(folder)
        self.assertEqual((report["history"], report["devices"], len(report["epochs"])), (None, [], 4))
        self.assertIsNotNone(report["evaluation"])

    def test_damaged_and_missing_files_are_named(self):
        answer = self.ask("report", self.folder)
        self.assertEqual(answer.returncode, 7, answer.stderr)
        self.assertIn("there is no run in", answer.stderr)
        folder = self.folder / "alone"
        subprocess.run([cluster_case.PROGRAM, "train", self.job, "--set", f"run.dir={folder}"], check=True,
                       capture_output=True)
        (folder / "history.json").write_text('{"schema": "eddl.history.v1", "frames": 1e99')
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as metrics:
            metrics.write('{"kind": "epoch", "ep')
        (folder / "model.safetensors").write_bytes(b"\x00" * 100)
        report = self.report(folder)
        self.assertEqual(len(report["epochs"]), 4)
        self.assertIn("history", report["notes"][0])
        self.assertIn("no confusion matrix", report["notes"][1])

    def test_the_page_opens_in_a_browser_without_a_complaint(self):
        if dashboard_test.missing():
            self.skipTest("SKIP: " + dashboard_test.missing())
        folder = self.run_cluster()
        browser = dashboard_test.open_browser()
        self.addCleanup(browser.quit)
        for device, (width, height) in (("desktop", (1280, 1800)), ("phone", (390, 2600))):
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": device == "phone"})
            browser.get((folder / "report.html").as_uri())
            self.assertLessEqual(browser.execute_script("return document.documentElement.scrollWidth"), width)
            dashboard_test.screenshot(browser, f"report-{device}")
        text = browser.execute_script("return document.body.innerText")
        for words in ("test accuracy", "</script><b>c", "fenced", "Decisions on the plan", "What the model takes"):
            self.assertIn(words, text)
        self.assertEqual(browser.execute_script("return Chart.getChart('throughput').data.datasets.length"), 4)
        self.assertEqual([entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"], [])


def load_tests(loader, _tests, _pattern):
    """Not those of the class that it is made from."""
    suite = unittest.TestSuite()
    suite.addTests(ReportTest(name) for name in loader.getTestCaseNames(ReportTest) if name in vars(ReportTest))
    return suite


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
