"""Scatter and gather: fetch a list of pages side by side, read them, and report once all have ended, one way or another.

    crawl --url--> fetch (4 at once, tries again) --page--> read (a bad page is set aside) --title--> report

`gather_policy` knows what descends from one activation of `crawl`: nobody counts pages, and a failed one is seen.
Run it: .venv/bin/python examples/pages.py
"""

import asyncio
import re
from operator import attrgetter, itemgetter
from typing import Any

from routilux import ErrorHandler, ErrorStrategy, Flow, JobState, Routine, Runtime, routine
from routilux.policies import each_item_policy, gather_policy

SITE = {  # it stands for the network: what each address answers
    "/": "<title>Tea and more</title>",
    "/tea": "<title>Our teas</title>",
    "/cups": "<title>Cups, and one kettle</title>",
    "/offers": "<title>Only today</title>",  # slow to wake: it answers the third time
    "/old": None,  # it never answers
    "/photo": "\x89PNG",  # no page at all
}


@routine
def crawl(*, job_state: JobState, routine: Routine) -> None:
    for url in job_state.params["urls"]:
        routine.emit("url", url)


@routine(policy=each_item_policy(), max_concurrency=4, ordered=False)
async def fetch(urls: list[str], *, job_state: JobState, routine: Routine) -> None:
    url = urls[0]
    await asyncio.sleep(0.01)
    page = SITE[url]
    if page is None or (url == "/offers" and job_state.attempt < 3):
        raise ConnectionError(f"no answer from {url}")
    routine.emit("page", (url, page))


fetch.set_error_handler(ErrorHandler(ErrorStrategy.RETRY, max_retries=2, retry_delay=0.02, then=ErrorStrategy.CONTINUE))


@routine(policy=each_item_policy())
def read(pages: list[tuple[str, str]], *, routine: Routine) -> None:
    url, page = pages[0]
    title = re.search("<title>(.*)</title>", page)
    if title is None:
        raise ValueError(f"{url} has no title")
    routine.emit("title", (url, title[1]))


read.set_error_handler(ErrorHandler(ErrorStrategy.CONTINUE))


@routine(policy=gather_policy(of="crawl"))
def report(titles: list[tuple[str, str]], *, policy_message: dict[str, Any]) -> None:
    for url, title in sorted(titles):
        print(f"{url:9} {title}")
    for failure in sorted(policy_message["failed"], key=itemgetter("routine_id")):
        print(f"failed in {failure['routine_id']}: {failure['error']}")


flow = Flow("pages").add_routine(crawl).add_routine(fetch).add_routine(read).add_routine(report)
flow.connect("crawl", "url", "fetch", "urls").connect("fetch", "page", "read", "pages")
flow.connect("read", "title", "report", "titles")

if __name__ == "__main__":
    with Runtime() as runtime:
        job = runtime.exec(flow, params={"urls": list(SITE)})
        runtime.wait_for_job(job.job_id)
        print()
        retries = [record for record in job.execution_history if record.event_name == "retry"]
        print(f"{job.status} after {len(retries)} retries; set aside, and can be posted again:")
        for letter in sorted(job.dead_letters, key=attrgetter("routine_id")):
            print(f"  {letter.routine_id} {dict(letter.items)}")
