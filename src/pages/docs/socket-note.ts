// A WebSocket cannot be tried with a request: in place of the button there is what opens one.
import { type Plugin, once } from './swagger-ui.ts';

export const socketNote: Plugin = {
  wrapComponents: {
    execute: once((Original, { React: { createElement } }) => (props) => {
      if (!String(props['path']).endsWith('/stream')) return createElement(Original, props);
      const code = createElement('code', null, 'new WebSocket(address)');
      return createElement('p', { className: 'socket-note' }, 'This address answers WebSockets, not requests. A program opens it with ', code, '.');
    }),
  },
};
