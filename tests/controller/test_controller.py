"""`scripts/controller` against a fake of Jenkins' API: what it makes goes again, and what goes wrong is told.

Run by `make controller-test`. That a real controller takes what is sent is not shown here, see docs/controller.md.
"""

import base64
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import fake as fakes

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/controller"
SECRETS = [fakes.TOKEN, fakes.REGISTRY_PASSWORD, *(
    base64.b64encode(pair.encode()).decode().rstrip("=")
    for pair in (f"{fakes.USER}:{fakes.TOKEN}", f"{fakes.REGISTRY_USER}:{fakes.REGISTRY_PASSWORD}")
)]


class Stories(unittest.TestCase):
    def setUp(self):
        self.jenkins = fakes.Fake()
        self.addCleanup(self.jenkins.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        (self.home / "library/vars").mkdir(parents=True)
        (self.home / "library/vars/inspectImage.groovy").write_text("def call() { }\n")
        (self.home / "tmp").mkdir()
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": folder.name, "TMPDIR": str(self.home / "tmp"), "LIMIT": "20",
            "LIBRARY": str(self.home / "library"), "REGISTRIES": f"{self.jenkins.host} {self.jenkins.host}",
            "REGISTRY_USERNAME": fakes.REGISTRY_USER, "REGISTRY_PASSWORD": fakes.REGISTRY_PASSWORD,
            "JENKINS_USER": fakes.USER, "JENKINS_TOKEN": fakes.TOKEN,
        }

    def start(self, *words, **environment):
        words = words or (f"http://{self.jenkins.host}",)
        told = {name: value for name, value in {**self.environment, **environment}.items() if value is not None}
        self.process = subprocess.Popen([sys.executable, SCRIPT, *words], env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self.process

    def run_stories(self, *words, **environment):
        process = self.start(*words, **environment)
        return self.end(process)

    def end(self, process):
        said = process.communicate(timeout=120)[0]
        for secret in SECRETS:
            self.assertNotIn(secret, said)
        self.assertEqual(list((self.home / "tmp").iterdir()), [], said)
        return process.returncode, said

    def assert_gone(self, said):
        made = [name for name in self.jenkins.asked if name == "POST /createItem"]
        self.assertEqual((len(made), len(self.jenkins.deleted)), (1, 1), said)
        self.assertRegex(self.jenkins.deleted[0], r"\Atagwright-stories-[0-9a-f]{8}\Z")

    def test_every_story_is_told_and_all_that_was_made_is_taken_away(self):
        status, said = self.run_stories(RESTART="1")
        self.assertEqual(status, 0, said)
        self.assert_gone(said)
        lines = [line for line in said.splitlines() if line.startswith(("passed", "failed", "skipped"))]
        self.assertEqual([line.split()[0] for line in lines].count("passed"), 11, said)
        self.assertIn("skipped lock without the plugin", said)
        self.assertIn("first 5 ms, second 4 ms", said)
        self.assertEqual([(one["id"], one["password"]) for one in self.jenkins.credentials],
                         [("staging", fakes.REGISTRY_PASSWORD), ("docker-hub", fakes.REGISTRY_PASSWORD)])
        self.assertIn("POST /safeRestart", self.jenkins.asked)

    def test_the_controller_is_started_again_only_where_that_is_asked_for(self):
        status, said = self.run_stories()
        self.assertEqual(status, 0, said)
        self.assertIn("skipped restart (0.0 s): RESTART=1 is not given", said)
        self.assertNotIn("POST /safeRestart", self.jenkins.asked)

    def test_without_the_plugin_for_locks_the_other_story_is_told(self):
        self.jenkins.plugins.remove("lockable-resources")
        status, said = self.run_stories()
        self.assertEqual(status, 0, said)
        self.assertIn("skipped lock with the plugin", said)
        self.assertIn("passed  lock without the plugin", said)
        self.assertIn("readImageLabel(", self.jenkins.script("example"))
        self.assertNotIn("lock: true,", self.jenkins.script("example"))

    def test_a_story_that_fails_shows_the_end_of_its_log_and_all_is_taken_away(self):
        self.jenkins.result_of = lambda name: "FAILURE" if name == "parallel" else None
        self.jenkins.log_of = lambda name: "ERROR: \x1b[31mno such tag" if name == "parallel" else ""
        status, said = self.run_stories()
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"failed  parallel \(.*\): the build ended with FAILURE, not SUCCESS\n(    .*\n)*    ERROR: \?\[31mno such tag")
        self.assertIn("passed  approvals", said)
        self.assert_gone(said)

    def test_a_build_that_has_ended_is_not_waited_for(self):
        self.jenkins.waits, self.jenkins.first = lambda script: False, []
        self.jenkins.log_of = lambda name: "ERROR: no such node" if name == "abort" else ""
        status, said = self.run_stories()
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"failed  abort \(\d\.\d s\): the build ended before it said `waiting for ``\n(    .*\n)*    ERROR: no such node\n")
        self.assert_gone(said)

    def test_a_build_that_does_not_end_shows_what_it_says_without_the_stack_of_the_controller(self):
        self.jenkins.waits = lambda script: "wait: 240" in script or "all three came back" in script
        self.jenkins.log_of = lambda name: "Still waiting to schedule task\n\tat hudson.model.Queue" if name == "parallel" else ""
        status, said = self.run_stories(LIMIT="1")
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"failed  parallel .*: the build of `parallel` took more than 1 s\n(    .*\n)*    Still waiting to schedule task\n")
        self.assertNotIn("hudson.model", said)
        self.assert_gone(said)

    def test_a_secret_in_the_log_of_a_build_fails_its_story_and_is_not_repeated(self):
        for spelled in (fakes.REGISTRY_PASSWORD, base64.b64encode(f"{fakes.REGISTRY_USER}:{fakes.REGISTRY_PASSWORD}".encode()).decode()):
            self.jenkins.log_of = lambda name: f"curl -u {spelled}" if name == "times" else ""
            self.jenkins.asked.clear()
            self.jenkins.deleted.clear()
            status, said = self.run_stories()
            self.assertEqual(status, 1, said)
            self.assertIn(": the log holds a secret", said)
            self.assertIn("curl -u ****", said)
            self.assert_gone(said)

    def test_what_waits_for_an_approval_fails_the_last_story(self):
        self.jenkins.before[("POST", "/createItem")] = lambda: setattr(self.jenkins, "pending", True)
        status, said = self.run_stories()
        self.assertEqual(status, 1, said)
        self.assertIn("something waits for an approval: see http://", said)
        self.assert_gone(said)

    def test_a_signal_stops_the_build_and_takes_everything_away_whenever_it_comes(self):
        moments = [("POST", "/createItem"), ("POST", "/createCredentials"), ("POST", "/build"), ("GET", "/consoleText"), ("POST", "/doDelete")]
        for number, moment in [*((signal.SIGINT, moment) for moment in moments), (signal.SIGTERM, moments[2]), (signal.SIGHUP, moments[2])]:
            with self.subTest(signal=number, moment=moment):
                self.jenkins.before = {moment: lambda: self.process.send_signal(number)}
                self.jenkins.asked.clear()
                self.jenkins.deleted.clear()
                status, said = self.end(self.start())
                # Whoever is taking away already goes on, and has told all stories.
                self.assertEqual(status, 0 if moment[1] == "/doDelete" else 128 + number, said)
                self.assert_gone(said)

    def test_a_build_that_runs_when_a_signal_comes_is_stopped_before_its_folder_goes(self):
        def when_it_waits():
            if any(build["waits"] and not build["stopped"] for build in self.jenkins.builds.values()):
                self.process.send_signal(signal.SIGINT)

        self.jenkins.before = {("GET", "/consoleText"): when_it_waits}
        status, said = self.end(self.start())
        self.assertEqual(status, 130, said)
        stop = next(at for at, one in enumerate(self.jenkins.asked) if one.endswith("/stop"))
        self.assertLess(stop, next(at for at, one in enumerate(self.jenkins.asked) if one.endswith("/doDelete")))
        self.assert_gone(said)

    def test_what_cannot_be_made_is_told_and_what_was_made_before_goes(self):
        for end in ("/createItem", "/createCredentials"):
            with self.subTest(end=end):
                self.jenkins.deleted.clear()
                self.jenkins.instead = {("POST", end): (500, {"X-Error": "the disk is full"}, "")}
                status, said = self.run_stories()
                self.assertEqual(status, 2, said)
                self.assertRegex(said, rf"controller: `http://\S+` answers POST \S*{end}\S* with 500: the disk is full")
                self.assertEqual(len(self.jenkins.deleted), 0 if end == "/createItem" else 1)

    def test_a_folder_that_stays_is_named_and_is_a_failure(self):
        self.jenkins.instead = {("POST", "/doDelete"): (403, {}, "")}
        status, said = self.run_stories()
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"may not POST /job/\S+/doDelete .*\n.*delete the folder by hand: http://\S+/job/tagwright-stories-[0-9a-f]{8}/")

    def test_a_controller_that_cannot_be_used_is_told_before_anything_is_made(self):
        self.jenkins.plugins = [name for name in fakes.PLUGINS if name not in ("git", "credentials-binding")]
        table = [
            ({"JENKINS_TOKEN": "marked-wrong-token"}, {}, "refuses the token of `ann` (401): make an API token at "),
            ({}, {("GET", "/pluginManager/api/json"): (403, {}, "No valid crumb was included")}, "JENKINS_TOKEN has to be an API token, not a password"),
            ({}, {("GET", "/pluginManager/api/json"): (403, {}, "")}, "the stories need the right Overall/Administer"),
            ({}, {("GET", "/api/json"): (503, {}, "")}, "answers GET /api/json with 503"),
            ({}, {("GET", "/pluginManager/api/json"): (200, {}, "<html>")}, "with no JSON"),
            ({}, {("GET", "/api/json"): (302, {"Location": "https://elsewhere.example/"}, "")}, "to `https://elsewhere.example/`: name the address of the controller itself"),
            ({}, {("GET", "/api/json"): (200, {"X-Jenkins": ""}, "")}, "is no Jenkins"),
            ({}, {}, "has not these plugins, or they are not active: credentials-binding, git; docs/controller.md"),
        ]
        for environment, instead, told in table:
            with self.subTest(told=told):
                self.jenkins.instead = instead
                status, said = self.run_stories(**environment)
                self.assertEqual(status, 2, said)
                self.assertIn(told, said)
                self.assertNotIn("marked-wrong", said)
        self.assertFalse([one for one in self.jenkins.asked if one.startswith("POST")])

    def test_settings_that_cannot_be_meant_are_told_before_anything_is_asked(self):
        here = f"http://{self.jenkins.host}"
        table = [
            ([here], {"JENKINS_TOKEN": None}, "export JENKINS_TOKEN: "),
            ([here], {"JENKINS_TOKEN": None, "JENKINS_USER": ""}, "export JENKINS_USER and JENKINS_TOKEN"),
            ([""], {}, "name the controller: make controller JENKINS="),
            ([f"http://ann:{fakes.TOKEN}@{self.jenkins.host}"], {}, "holds a user or a password"),
            (["jenkins"], {}, "`jenkins` is no address of a controller"),
            ([here], {"REGISTRIES": "one"}, "REGISTRIES names two registries"),
            ([here], {"REGISTRY_PASSWORD": None}, "export REGISTRY_USERNAME and REGISTRY_PASSWORD"),
        ]
        for words, environment, told in table:
            with self.subTest(told=told):
                status, said = self.run_stories(*words, **environment)
                self.assertEqual(status, 2, said)
                self.assertIn(told, said)
        self.assertEqual(self.jenkins.asked, [])
        status, said = self.run_stories("http://127.0.0.1:1")
        self.assertEqual(status, 2, said)
        self.assertIn("`http://127.0.0.1:1` does not answer GET /api/json: ", said)
        status, said = self.run_stories(REGISTRY_PASSWORD="marked-wrong")
        self.assertEqual(status, 2, said)
        self.assertIn(f"the registry `{self.jenkins.host}` answers POST with 401", said)
        self.assertFalse([one for one in self.jenkins.asked if one.startswith("POST /createItem")])


if __name__ == "__main__":
    unittest.main()
