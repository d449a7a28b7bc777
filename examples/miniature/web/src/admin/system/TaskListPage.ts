import "#elements/Message";

import { DEFAULT_CONFIG } from "#common/api/config";
import { AKElement } from "#elements/Base";

import { EventsApi, type Task as WorkerTask, TaskStateEnum } from "@goauthentik/api";
import { msg } from "@lit/localize";
import { Task } from "@lit/task";
import { html } from "lit";
import { customElement } from "lit/decorators.js";

function stateLabel(state: TaskStateEnum): string {
    switch (state) {
        case TaskStateEnum.Queued:
            return msg("queued");
        case TaskStateEnum.Running:
            return msg("running");
        case TaskStateEnum.Done:
            return msg("done");
        case TaskStateEnum.Error:
            return msg("failed");
        default:
            return msg("unknown");
    }
}

/** What the worker did, and what it still has to do. */
@customElement("ak-task-list")
export class TaskListPage extends AKElement {
    #list = new Task(this, {
        task: (_, { signal }) =>
            new EventsApi(DEFAULT_CONFIG).eventsTasksList({ pageSize: 50, ordering: "-created" }, { signal }),
        args: () => [],
    });

    #renderRow = (task: WorkerTask) => html`
        <tr>
            <td>
                ${task.description || task.actorName}<br />
                <span class="muted">${task.actorName}</span>
            </td>
            <td>${stateLabel(task.state)}</td>
            <td>${task.created.toLocaleString()}</td>
            <td>${task.logs.map(({ event }) => html`<div class="muted">${event}</div>`)}</td>
        </tr>
    `;

    override render() {
        return html`
            <div class="row spread">
                <h1>${msg("Tasks")}</h1>
                <button type="button" @click=${() => this.#list.run()}>${msg("Refresh")}</button>
            </div>
            ${this.#list.render({
                pending: () => html`<p>${msg("Loading…")}</p>`,
                error: (error) => html`<ak-message level="error">${String(error)}</ak-message>`,
                complete: ({ results }) => html`
                    <table>
                        <thead>
                            <tr>
                                <th>${msg("Task")}</th>
                                <th>${msg("State")}</th>
                                <th>${msg("Created")}</th>
                                <th>${msg("Log")}</th>
                            </tr>
                        </thead>
                        <tbody>
                            ${results.map(this.#renderRow)}
                        </tbody>
                    </table>
                `,
            })}
        `;
    }
}

declare global {
    interface HTMLElementTagNameMap {
        "ak-task-list": TaskListPage;
    }
}
