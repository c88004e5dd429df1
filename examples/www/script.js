// Ask the demo who it is, and how long it takes to answer. Where the page is served as a file
// alone, there is nobody to ask but the file: it measures itself.
"use strict";

const demo = location.pathname.startsWith("/static/");
const target = demo ? "/" : "index.html";
const COUNT = 50;

function show(id, rows) {
    const body = document.createElement("tbody");
    for (const [name, value] of rows) {
        const row = body.insertRow();
        row.insertCell().textContent = name;
        row.insertCell().textContent = value;
    }
    document.getElementById(id).replaceChildren(body);
}

async function who() {
    const answer = await (await fetch("/whoami")).json();
    show("who", [
        ["worker", `${answer.worker}, thread ${answer.thread}`],
        ["process", answer.pid],
        ["CPU", answer.cpu],
        ["connection", `${answer.connection.address}, port ${answer.connection.port}, ` +
            `request ${answer.connection.request}`],
    ]);
}

async function measure() {
    const times = [];
    for (let i = 0; i < COUNT; i++) {
        const begin = performance.now();
        await (await fetch(target, { cache: "no-store" })).text();
        times.push(performance.now() - begin);
    }
    times.sort((a, b) => a - b);
    const ms = (time) => `${time.toFixed(2)} ms`;
    show("times", [
        ["requests, one after the other", COUNT],
        ["fastest", ms(times[0])],
        ["median", ms(times[COUNT >> 1])],
        ["slowest", ms(times[COUNT - 1])],
    ]);
}

async function run() {
    if (demo) {
        document.getElementById("source").textContent = "This page is served by the demo.";
        await who();
    } else {
        show("who", [["a server of files", "the demo would say more, at /static/index.html"]]);
    }
    await measure();
    document.body.dataset.done = "yes";
}

document.getElementById("measure").addEventListener("click", measure);
run();
