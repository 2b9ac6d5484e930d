"""A pipeline that does what a test says, when it says so, for tests of runs that go on."""

from __future__ import annotations

GATE = """
    import asyncio
    from pathlib import Path

    from pipelines import Fetcher, current_run

    class Gate(Fetcher):
        '''Waits for a file: `0.5 half` is progress, `go` lets it end, anything else is its error.'''

        def __init__(self, *, file):
            self.file = Path(file)

        async def fetch(self):
            while True:
                said = self.file.read_text() if self.file.exists() else ""
                if said == "go":
                    yield {"n": 1}
                    return
                if said[:2] == "0.":
                    done, _, note = said.partition(" ")
                    current_run().progress(float(done), note)
                elif said:
                    raise OSError(said)
                await asyncio.sleep(0.01)

    class Greet(Fetcher):
        async def fetch(self):
            run = current_run()
            run.log.info("hello %s, password=hunter2hunter2", run.params.get("name", "you"))
            run.log.info("second line")
            yield {"n": 1}

    class Fail(Fetcher):
        async def fetch(self):
            raise OSError("disk full <@&1> @everyone")
            yield
"""

YAML = """
    scheduler:
      default_retry: {{attempts: 1}}
    pipelines:
      gated:
        executor: inline
        chain: [{{class: mine.Gate, kwargs: {{file: {file}}}}}]
      greet:
        enabled: false
        executor: inline
        params:
          name: {{type: text, required: true, longest: 20, description: Whom to greet}}
          times: {{type: int, default: 2, min: 1, max: 5}}
          tone: {{type: text, choices: [kind, rude], default: kind}}
        chain: [mine.Greet]
      careful:
        executor: inline
        discord: {{confirm: true}}
        params: {{region: eu}}
        chain: [mine.Greet]
      failing:
        executor: inline
        chain: [mine.Fail]
      secret:
        executor: inline
        policy: {{viewer: {{users: [1]}}, operator: {{users: [1]}}, admin: {{users: [1]}}}}
        chain: [mine.Greet]
      wide:
        enabled: false
        executor: inline
        params:
          a: {{type: text}}
          b: {{type: int, default: 1}}
          c: {{type: flag, default: true}}
          d: {{type: text, default: x}}
          e: {{type: text, default: y}}
          f: {{type: text, default: z}}
        chain: [mine.Greet]
"""


class Gate:
    """Writes the file that the pipeline `gated` waits for."""

    def __init__(self, project):
        self._file = project.folder / "gate"
        project.plugin("mine", GATE)
        project.write(YAML.format(file=self._file))

    def say(self, words):
        """Let the run go on: `0.5 half`, `go`, or an error."""
        self._file.write_text(words)

    def shut(self):
        """Let the next run wait."""
        self._file.unlink(missing_ok=True)
