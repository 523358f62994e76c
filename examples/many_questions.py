"""Many questions to one page, each once: the answers as they come, and what may be asked again."""

from chatgptt import Client, Reply
from chatgptt.demo import serve

questions = [{"id": number, "message": f"What is {number} squared?"} for number in range(10)]
questions += [{"id": 10, "message": "PROVIDER500"}, {"id": 11, "message": "DROPFIRST"}]

with serve() as demo, Client(demo.page("wpaicg/"), state_dir=None) as client:
    for question, result in client.ask_many(questions, concurrency=3):
        if isinstance(result, Reply):
            print(f"{question['id']}: {result.text}")
        elif result.is_ambiguous:
            print(f"{question['id']}: the site may have answered it ({result.code})")
        else:
            print(f"{question['id']}: {result.code}, can be asked again")
